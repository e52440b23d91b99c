"""Bayesian regularisation: fit, noise and weight precisions found together by maximising the evidence.

linearise r at w
repeat:  take a step of the method on C_D + ½wᵀS₀w, S₀ = α/β
         re-estimate α and β from JᵀJ in hand where that is due (.schedule, .precisions); else let them follow
         the weights and the noise
         stop when the evidence and the number of effective parameters no longer change, or it only falls

The method knows nothing of it: it is handed a problem with another prior.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from marquardt.bayesian.early_evidence import start_early
from marquardt.bayesian.evidence_result import EvidenceResult
from marquardt.bayesian.evidence_run import EvidenceRun, EvidenceSnapshot
from marquardt.bayesian.noise import NoiseOf, usual_noise
from marquardt.bayesian.precisions import PrecisionRule
from marquardt.bayesian.prior_groups import Grouping, input_groups
from marquardt.bayesian.schedule import Schedule
from marquardt.growing_rows import GrowingRows
from marquardt.method import Method, Reason
from marquardt.problem import NetworkProblem
from marquardt.run_record import Callback, Checkpoints
from marquardt.stopping import Stopping


def maximize_evidence(
    problem: NetworkProblem,
    w0: ArrayLike,
    *,
    groups: Grouping = input_groups,
    noise: NoiseOf = usual_noise,
    method: Method | None = None,
    rule: PrecisionRule | None = None,
    schedule: Schedule | None = None,
    stopping: Stopping | None = None,
    callback: Callback | None = None,
    checkpoint: Checkpoints | None = None,
    rows: GrowingRows | None = None,
    posterior: bool = True,
) -> EvidenceResult:
    """Fit a network with its regularisation found from the data.

    Parameters
    ----------
    problem : NetworkProblem
        With a squared error or a cross-entropy, and inputs and targets of about unit spread; its own prior
        is not used.
    w0 : array (n_params,)
        The start.
    groups : callable
        `input_groups`, `layer_groups`, `one_group` of `marquardt.bayesian.prior_groups`, or your own.
    noise : callable
        `usual_noise`: estimated for a squared error, none for a cross-entropy.  `known_noise` of
        `marquardt.bayesian.noise` takes the row weights for 1/σ².
    method : Method, optional
        The parts of the step.
    rule : PrecisionRule, optional
        The re-estimation and its guards; for a cross-entropy `CLASS_RULE` when None.
    schedule : Schedule, optional
        When to re-estimate, and when to end; for a cross-entropy `CLASS_SCHEDULE` when None.
    stopping : Stopping, optional
        Limits of the whole run.  Its tolerances on cost, step and gradient end the fit under one set of
        precisions only.
    callback : callable, optional
        As in `minimize`; the cost in the records is that under the precisions of its time.
    checkpoint : Checkpoint, optional
        As in `minimize`.
    rows : GrowingRows, optional
        As in `minimize`: precisions are estimated on the parts of the rows, too.
    posterior : bool
        Whether to make the posterior at the end, for error bars; else `EvidenceResult.posterior_at` makes it.

    Returns
    -------
    EvidenceResult
        With the parameters and precisions of the highest evidence seen, however the run ended.

    Raises
    ------
    ValueError
        When w0 has the wrong shape, or the loss has no evidence.

    References
    ----------
    D. J. C. MacKay, Neural Computation 4(3):448 and 4(5):720, 1992; F. D. Foresee, M. T. Hagan, IJCNN 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from marquardt import Input, Linear
    >>> X, noise = np.linspace(-1, 1, 40)[:, None], 0.1 * np.random.default_rng(0).normal(size=40)
    >>> fit = maximize_evidence(NetworkProblem(Input(1) >> Linear(1), X, X[:, 0] + noise), [0.0, 0.0])
    >>> fit.result.status.name, round(fit.noise_sd, 2), round(fit.n_effective, 1)
    ('EVIDENCE', 0.08, 1.1)
    """
    run = EvidenceRun(
        problem,
        groups=groups,
        noise=noise,
        method=method,
        rule=rule,
        schedule=schedule,
        stopping=stopping,
        callback=callback,
        checkpoint=checkpoint,
    )
    own = {} if rows is None else {"rows": rows}
    kept = None if checkpoint is None else checkpoint.begin({**run.identity(w0), **own})
    if isinstance(kept, EvidenceResult):
        return kept
    fit = run.finish(run.record.ending(lambda: _loop(run, w0, kept, rows)), posterior)
    if checkpoint is not None:
        checkpoint.end(fit, fit.result.status)
    return fit


def _loop(run: EvidenceRun, w0: ArrayLike, kept: object | None, rows: GrowingRows | None) -> Reason:
    if kept is None:
        reason = run.start(w0) if rows is None else start_early(run, rows, w0)
    else:
        assert isinstance(kept, EvidenceSnapshot)
        reason = run.resume(kept)
    while reason is None:
        reason = run.step()
    return reason
