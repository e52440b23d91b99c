"""`fit`: train a JAX model on samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from marquardt._types import FloatArray
from marquardt.blas_threads import one_thread_if_small
from marquardt.dense_model import DenseProblem
from marquardt.jax_models.device_cholesky import DeviceCholesky
from marquardt.jax_models.model_checks import influence_notes, input_notes, start_notes
from marquardt.jax_models.model_kinds import take_apart
from marquardt.jax_models.parameter_tree import ParameterTree, Trainable
from marquardt.jax_models.problem_from_samples import Samples, check_behavior, problem_from_samples
from marquardt.jax_models.recognition import on_network, recognized
from marquardt.jax_models.sample_problem import SampleProblem
from marquardt.jax_models.transforms import Transform
from marquardt.jax_models.warm_up import WarmUp
from marquardt.lm import minimize
from marquardt.losses import LossOf, squared_error
from marquardt.models.mlp import MLP
from marquardt.result import Result
from marquardt.run_outcome import RunOutcome


@dataclass(frozen=True)
class ModelFit(RunOutcome):
    """A model fitted by `fit`."""

    model: Any = field(repr=False)
    """The fitted model, in the structure and precision of the one that was given."""
    result: Result
    """The run; its `w` are the trained parameters, flat and free of bounds."""
    notes: tuple[str, ...]
    """What the user should know: parameters without influence, memory, precision."""
    problem: SampleProblem = field(repr=False)
    """The model on its samples, in the order of the tree; compiled when it is asked."""
    tree: ParameterTree = field(repr=False)
    network: MLP | None = None
    """What the model was recognised as, and trained by; None for a model that JAX computed."""

    @property
    def params(self) -> Any:
        """The fitted parameters as a tree (of a pair (function, params), the second)."""
        return self.tree.restore(self.result.w)


def fit(
    model: Any,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    alpha: float | Mapping[str, float] = 0.0,
    loss: LossOf = squared_error,
    trainable: Trainable | None = None,
    transforms: Mapping[str, Transform] | None = None,
    batched: bool | None = None,
    warm_up: WarmUp | None = None,
    validation_data: tuple[Any, Any] | None = None,
    structured: bool = True,
    **options: Any,
) -> ModelFit:
    """Train a JAX model by Levenberg-Marquardt, in float64, whatever the precision of the model.

    The output for a sample must depend on that sample only; for anything else there is `least_squares`.

    Parameters
    ----------
    model : equinox.Module, flax.nnx.Module or (function, params)
        It is not changed.  A plain function is ``function(params, X) -> outputs``.
    X : array (n_samples, ...), or a tuple or dict of such arrays
    y : array (n_samples, ...)
        In the shape of the model's outputs; class labels, or one-hot rows, for `cross_entropy`.
    sample_weight : array (n_samples,), optional
    alpha : float or mapping
        Prior precision S₀: a number for all leaves with two axes and more (weights, not biases), or
        numbers by path, ``{"layers.0": 0.1}``.
    loss : callable
        `squared_error`, `cross_entropy` (the model returns logits) or another of `marquardt.losses`.
    trainable : callable or tree of bool, optional
        ``path -> bool``, or booleans as for `equinox.partition`.
    transforms : mapping, optional
        ``{"rate": Positive(), "share": Bounded(0, 1)}``, by path.
    batched : bool, optional
        Whether the model takes all samples at once; by default Equinox modules take one, others all.
    warm_up : WarmUp, optional
        First-order steps before.
    validation_data : (X, y), optional
        Held-out samples: the parameters that are best on them are returned, and `Stopping.max_fail`
        iterations without improvement end the run.
    structured : bool
        Whether a model that is a multilayer perceptron may be trained by the network in NumPy: the same
        steps in less time, with nothing to compile.  False leaves every model to JAX.
    **options
        As in `minimize`: stopping, damping, metric, solver, search, acceleration, resolve_output, callback.

    Returns
    -------
    ModelFit

    Raises
    ------
    TypeError, ValueError
        For a model, data or parameters that cannot be fitted; the message names what and why.

    Examples
    --------
    >>> def line(params, X):
    ...     return params["slope"] * X + params["offset"]
    >>> fitted = fit((line, {"slope": 0.0, "offset": 0.0}), np.arange(4.0), [1.0, 3.0, 5.0, 7.0])
    >>> {name: round(value, 6) for name, value in fitted.params.items()}
    {'offset': 1.0, 'slope': 2.0}
    """
    parts = take_apart(model, batched)
    tree = ParameterTree(
        parts.params, trainable=trainable, transforms=transforms, keeps_others=parts.keeps_others
    )
    samples, prior = Samples.of(X), tree.prior(alpha)
    problem, notes = problem_from_samples(parts, tree, samples, y, sample_weight, prior, loss)
    w0 = tree.start.copy()
    w0.flags.writeable = False
    dense = recognized(problem, w0) if structured else None
    if dense is None:
        check_behavior(problem, w0)
    known: SampleProblem | DenseProblem = problem if dense is None else dense
    z = known.outputs(w0)
    notes += start_notes(z)
    if validation_data is not None:
        held_out, other_y = validation_data
        other, _ = problem_from_samples(parts, tree, Samples.of(held_out), other_y, None, None, loss)
        options["validation"] = ((dense and on_network(dense.model, other)) or other).cost
    if options.get("resolve_output", True) and np.isfinite(z).all():
        if dense is None:
            problem.find_affine_block(w0)
        else:
            problem.know_affine_block(dense.output_layer)
    w = w0 if warm_up is None else warm_up.run(known, w0)
    wide = problem.n_residuals < problem.n_params  # then the dual, on the host
    if options.get("solver") is None and not (problem.model.on_host or wide):
        options["solver"] = DeviceCholesky()
    with one_thread_if_small(problem.n_params):
        result = minimize(problem, w, **options) if dense is None else dense.minimize(w, **options)
    if result.linearization is not None and result.success:
        notes += influence_notes(tree.layout, result.linearization.jacobian.column_sqnorms())
        notes += input_notes(known.outputs(result.w), samples.differ())
    best, own = _rounded(tree, known, w0, result)
    notes = list(dict.fromkeys([*notes, *own, *problem.notes]))
    network = None if dense is None else dense.model.network
    return ModelFit(parts.rebuild(best), result, tuple(notes), problem, tree, network)


def _rounded(
    tree: ParameterTree, problem: SampleProblem | DenseProblem, w0: FloatArray, result: Result
) -> tuple[Any, list[str]]:
    """The parameters in their own precision; those at the start, should rounding have lost the gain."""
    best = tree.restore(result.w)
    try:
        w = tree.pack(best)
    except ValueError:  # rounded onto a bound, or not finite
        return best, []
    with np.errstate(all="ignore"):
        rounded, start = problem.cost(w), problem.cost(w0)
    if rounded > start and result.cost <= start:
        return tree.restore(w0), [
            "rounding to the model's own precision lost more than was gained: it is as given"
        ]
    return best, []
