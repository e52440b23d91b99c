"""Interrupted runs go on as if they had never been: compared bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from marquardt import (
    Cauchy,
    Cholesky,
    Dual,
    Input,
    Linear,
    LMClassifier,
    LMRegressor,
    MoreMetric,
    Multiplicative,
    NetworkProblem,
    Nielsen,
    Status,
    Stopping,
    Tanh,
    maximize_evidence,
    minimize,
)
from marquardt.bayesian.prior_groups import layer_groups, one_group
from marquardt.bayesian.schedule import Schedule
from marquardt.command.cli import app
from marquardt.files import checkpoint as checkpoint_module
from marquardt.files.archive import ModelFileError, write_archive
from marquardt.files.checkpoint import Checkpoint, CheckpointError
from marquardt.residual_problem import ResidualProblem
from marquardt.result import History
from marquardt.robust_fit import fit_robustly
from marquardt.trainer.escalating import Escalating

NETWORK = Input(2) >> Tanh(5) >> Linear(1)
RNG = np.random.default_rng(3)
X = RNG.uniform(-1, 1, (40, 2))
Y = np.sin(3 * X[:, 0]) * X[:, 1] + 0.1 * RNG.normal(size=40)
W0 = 0.5 * RNG.normal(size=NETWORK.n_params)
OTHER = RNG.uniform(-1, 1, (20, 2))


def problem(X=X, y=Y, network=NETWORK, **options):
    return NetworkProblem(network, X, y, **options)


def plain(problem, max_fail=100, **settings):
    def run(**options):
        stopping = Stopping(max_iter=options.pop("max_iter", 30), max_fail=max_fail)
        return minimize(problem, W0[: problem.n_params], stopping=stopping, **settings, **options)

    return run


def bayesian(problem, **settings):
    def run(**options):
        stopping = Stopping(max_iter=options.pop("max_iter", 30))
        return maximize_evidence(problem, W0[: problem.n_params], stopping=stopping, **settings, **options)

    return run


def curve():
    """Finite differences, a problem that cannot say what it is made of."""
    t = np.linspace(0, 2, 15)
    return ResidualProblem(
        lambda w: w[0] * np.exp(-w[1] * t) + w[2] - np.exp(-t) - 0.3 * t,
        3,
        lambda w: np.column_stack([np.exp(-w[1] * t), -w[0] * t * np.exp(-w[1] * t), np.ones_like(t)]),
    )


RUNS = {
    "plain": plain(problem()),
    "penalty": plain(problem(alpha=0.01)),
    "early stopping": plain(problem(), max_fail=8, validation=problem(OTHER, OTHER[:, 0]).cost),
    "MoreMetric": plain(problem(), metric=MoreMetric()),
    "Nielsen, dual": plain(problem(X[:9], Y[:9]), damping=Nielsen(), solver=Dual()),
    "trainlm's rule": plain(problem(), damping=Multiplicative(), acceleration=None, resolve_output=False),
    "rule with patience": plain(problem(), damping=Escalating(initial=1e-6, patience=3)),
    "robust": plain(problem(loss=Cauchy(scale=0.1))),
    "curve": plain(curve(), metric=MoreMetric()),
    "Bayesian": bayesian(problem()),
    "Bayesian, one": bayesian(problem(), groups=one_group),
    "Bayesian, layer, dual": bayesian(problem(X[:9], Y[:9]), groups=layer_groups),
    "Bayesian, guarded": bayesian(problem(X[:3], Y[:3])),
    "Bayesian, weighted": bayesian(problem(sample_weight=np.linspace(0, 2, 40))),
}
runs = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


class Kill:
    """A callback that raises at iteration k, as a machine that goes down."""

    def __init__(self, k, error=None):
        self.k, self.error = k, error or RuntimeError("the lights went out")

    def __call__(self, record):
        if record.iteration == self.k:
            raise self.error


def results(outcome):
    """The plain result of an outcome, and the Bayesian one."""
    return getattr(outcome, "result", outcome), outcome if hasattr(outcome, "log_evidence") else None


def check_equal(one, other):
    """Equal to the last bit in all but wall time."""
    (a, bayes_a), (b, bayes_b) = results(one), results(other)
    for name in History([a.history[0]]).to_dict():
        if name != "time":
            np.testing.assert_array_equal(a.history.column(name), b.history.column(name), err_msg=name)
    np.testing.assert_array_equal(a.w, b.w)
    np.testing.assert_array_equal(a.w_last, b.w_last)
    assert (a.cost, a.status, a.n_jacobians, a.n_costs) == (b.cost, b.status, b.n_jacobians, b.n_costs)
    if bayes_a is not None:
        np.testing.assert_array_equal(bayes_a.weight_precision, bayes_b.weight_precision)
        np.testing.assert_array_equal(bayes_a.effective_parameters, bayes_b.effective_parameters)
        assert bayes_a.noise_precision == bayes_b.noise_precision
        assert bayes_a.log_evidence == bayes_b.log_evidence
        assert bayes_a.notes == bayes_b.notes
        for update, same in zip(bayes_a.updates, bayes_b.updates, strict=True):
            assert update.log_evidence == same.log_evidence
            np.testing.assert_array_equal(update.precisions.weights, same.precisions.weights)


# -- one run ---------------------------------------------------------------------------------------


@runs
@pytest.mark.parametrize("k", [1, 4, 7])
def test_killed_by_a_callback_and_continued(run, k, tmp_path):
    path = tmp_path / "run.checkpoint"
    killed = run(checkpoint=Checkpoint(path), callback=Kill(k))
    assert results(killed)[0].status is Status.CALLBACK_FAILED and path.exists()
    check_equal(run(checkpoint=Checkpoint(path)), run())


@runs
def test_ended_by_a_limit_and_continued_again_and_again(run, tmp_path):
    path, whole = tmp_path / "run.checkpoint", run(max_iter=9)
    for limit in (0, 2, 3, 8, 9):
        part = run(checkpoint=Checkpoint(path, every=1), max_iter=limit)
    check_equal(part, whole)
    assert path.exists() == results(part)[0].status.may_go_on
    times = results(part)[0].history.column("time")
    assert (np.diff(times) >= 0).all()


@runs
def test_continued_from_the_last_writing_when_the_process_just_dies(run, tmp_path, monkeypatch):
    """What `every` wrote, without anything done at the end."""
    path = tmp_path / "run.checkpoint"
    monkeypatch.setattr(checkpoint_module._RunFile, "write_last", lambda self: None)
    run(checkpoint=Checkpoint(path, every=3), callback=Kill(8, KeyboardInterrupt()))
    seen = []
    check_equal(run(checkpoint=Checkpoint(path), callback=lambda now: seen.append(now.iteration)), run())
    assert seen[0] == 7, "written after iteration 6"


@pytest.mark.parametrize("bayes", [False, True])
def test_a_run_that_comes_to_its_end_leaves_no_file(bayes, tmp_path):
    make = bayesian if bayes else plain
    run, path = make(problem(X, X[:, 0], Input(2) >> Linear(1))), tmp_path / "run.checkpoint"
    outcome = run(checkpoint=Checkpoint(path, every=1), max_iter=500)
    assert results(outcome)[0].status.converged
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("left", [0, 1, 2])
def test_killed_just_before_the_evidence_ends_it(left, tmp_path):
    """The end is judged by the last step, which the continued run has not taken itself."""
    eager = Schedule(window=2, gamma_tolerance=0.5, evidence_tolerance=5.0, cost_tolerance=0.05)
    run, path = bayesian(problem(), schedule=eager), tmp_path / "run.checkpoint"
    whole = run(max_iter=500)
    assert whole.result.status is Status.EVIDENCE
    run(checkpoint=Checkpoint(path), callback=Kill(whole.result.n_iter - left), max_iter=500)
    check_equal(run(checkpoint=Checkpoint(path), max_iter=500), whole)


def test_seconds_decide_too(tmp_path):
    path, sizes = tmp_path / "run.checkpoint", []

    def look(record):
        sizes.append(path.exists())

    RUNS["plain"](checkpoint=Checkpoint(path, every=None, seconds=0.0), callback=look, max_iter=3)
    assert all(sizes)
    sizes.clear()
    RUNS["penalty"](checkpoint=Checkpoint(tmp_path / "b", every=None, seconds=1e6), callback=look, max_iter=3)
    assert (tmp_path / "b").exists(), "at the end, since it may go on"


def test_a_function_that_raises_is_mended_and_the_run_goes_on(tmp_path, monkeypatch):
    task, path, calls = problem(), tmp_path / "run.checkpoint", []
    linearize = NetworkProblem.linearize

    def breaking(self, w):
        calls.append(1)
        if len(calls) == 6:
            raise OSError("no license")
        return linearize(self, w)

    monkeypatch.setattr(NetworkProblem, "linearize", breaking)
    assert plain(task)(checkpoint=Checkpoint(path)).status is Status.FUNCTION_FAILED
    monkeypatch.undo()
    check_equal(plain(task)(checkpoint=Checkpoint(path)), plain(task)())


# -- several runs ----------------------------------------------------------------------------------


def estimator(kind, **settings):
    known = {"max_iter": 25, "random_state": 0, "tol": 1e-12, "regularization": "l2", **settings}
    return kind((4,), **known)


ESTIMATORS = {
    "one start": estimator(LMRegressor, n_starts=1),
    "starts": estimator(LMRegressor, n_starts=4),
    "Bayesian starts": estimator(LMRegressor, n_starts=3, regularization="bayesian"),
    "early stopping": estimator(LMRegressor, n_starts=3, early_stopping=True),
    "robust": estimator(LMRegressor, n_starts=2, loss="cauchy"),
    "classes": estimator(LMClassifier, n_starts=3, alpha=0.1),
}


class KillAt:
    """Raise in record number `count` of all starts together."""

    def __init__(self, count):
        self.count = count

    def __call__(self, record):
        self.count -= 1
        if self.count == 0:
            raise KeyboardInterrupt


def fitted(model, **options):
    y = (Y > 0).astype(int) if isinstance(model, LMClassifier) else Y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the limit, and of the interruption
        return model.fit(X, y, **options)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("count", [5, 34])
def test_starts_are_continued_and_those_that_are_done_are_kept(name, count, tmp_path):
    model, path = ESTIMATORS[name], tmp_path / "model.checkpoint"
    whole = fitted(model)
    expected = whole.predict(X), [start.cost for start in whole.starts_], whole.loss_curve_
    evidences = [start.log_evidence for start in whole.starts_]
    fitted(model, checkpoint=Checkpoint(path), callback=KillAt(count))
    seen = []
    again = fitted(model, checkpoint=Checkpoint(path), callback=lambda now: seen.append(now.iteration))
    np.testing.assert_array_equal(again.predict(X), expected[0])
    assert [start.cost for start in again.starts_] == expected[1]
    assert [start.log_evidence for start in again.starts_] == evidences
    assert again.loss_curve_ == expected[2]
    total = sum(start.n_iter for start in again.starts_)
    assert len(seen) <= total, "nothing is done twice"


def test_several_processes_keep_their_starts(tmp_path):
    model, path = estimator(LMRegressor, n_starts=4), tmp_path / "model.checkpoint"
    expected = fitted(model).predict(X)
    model.n_jobs = 2
    fitted(model, checkpoint=Checkpoint(path), callback=KillAt(30))
    assert list(tmp_path.iterdir())
    again = fitted(model, checkpoint=Checkpoint(path))
    np.testing.assert_array_equal(again.predict(X), expected)


def test_the_files_of_all_starts_go_when_all_are_done(tmp_path):
    model = estimator(LMRegressor, n_starts=3, max_iter=500, tol=1e-3)
    other = tmp_path / "model.checkpoint.backup"
    other.write_text("mine")
    fitted(model, checkpoint=Checkpoint(tmp_path / "model.checkpoint", every=2))
    assert list(tmp_path.iterdir()) == [other]


def test_a_robust_fit_goes_on_within_its_rounds(tmp_path):
    task, path = problem(), tmp_path / "run.checkpoint"
    whole = fit_robustly(task, W0, Cauchy())
    fit_robustly(task, W0, Cauchy(), checkpoint=Checkpoint(path), callback=Kill(whole.result.n_iter - 2))
    assert len(list(tmp_path.iterdir())) > 2
    again = fit_robustly(task, W0, Cauchy(), checkpoint=Checkpoint(path))
    check_equal(again, whole)
    np.testing.assert_array_equal(again.scales, whole.scales)
    assert not list(tmp_path.iterdir())


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
import test_checkpoint as t
def die(record):
    if record.iteration == 8:
        os._exit(9)
t.RUNS["Bayesian"](checkpoint=t.Checkpoint({path!r}, every=3), callback=die)
"""


def test_a_process_that_is_killed_is_continued_by_another(tmp_path):
    path = str(tmp_path / "run.checkpoint")
    script = KILLED.format(tests=str(Path(__file__).parent), path=path)
    assert subprocess.run([sys.executable, "-c", script], timeout=120).returncode == 9
    seen = []
    again = RUNS["Bayesian"](checkpoint=Checkpoint(path), callback=lambda now: seen.append(now.iteration))
    assert seen[0] == 7
    check_equal(again, RUNS["Bayesian"]())


def test_the_command_goes_on_too(tmp_path):
    table, path = tmp_path / "table.csv", tmp_path / "run"
    np.savetxt(table, np.column_stack([X, Y]), delimiter=",", header="a,b,y", comments="")

    def command(*options):
        arguments = ["fit", str(table), "-t", "y", "--hidden", "4", "--starts", "2", "--json", *options]
        output = ["-o", str(tmp_path / "model.marquardt")]
        return CliRunner().invoke(app, [*arguments, *output])

    whole = json.loads(command().stdout)
    assert command("--checkpoint", str(path), "--max-iter", "5").exit_code == 0
    assert sorted(file.name for file in tmp_path.glob("run*")) == ["run.start1", "run.start2"]
    other = command("--checkpoint", str(path), "--alpha", "0.1")
    assert (
        other.exit_code == 2
        and "of another run, on another table or with other settings: prior has other values" in other.stderr
    )
    again = json.loads(command("--checkpoint", str(path)).stdout)
    assert (again["scores"], again["n_iter"]) == (whole["scores"], whole["n_iter"])
    assert again["evidence"] == whole["evidence"] and not list(tmp_path.glob("run*"))


# -- refusals --------------------------------------------------------------------------------------

DIFFERENT = {
    "X": (plain(problem(X + 1e-9)), "X has other values"),
    "y": (plain(problem(y=Y[::-1])), "y has other values"),
    "rows": (plain(problem(X[:30], Y[:30])), r"X was array \(40, 2\), and is array \(30, 2\)"),
    "weights": (plain(problem(sample_weight=np.full(40, 2.0))), "sample_weight was None, and is array"),
    "penalty": (plain(problem(alpha=0.1)), "prior was None"),
    "network": (
        plain(problem(network=Input(2) >> Tanh(4) >> Linear(1))),
        r"network was Input\(2\) >> Tanh\(5\) >> Linear\(1\), and is Input\(2\) >> Tanh\(4\)",
    ),
    "loss": (plain(problem(loss=Cauchy())), "loss was SquaredError"),
    "damping": (plain(problem(), damping=Nielsen()), r"method\.damping was GainRatio"),
    "solver": (plain(problem(), solver=Cholesky()), r"method\.solver was Auto\(.*\), and is Cholesky\(\)"),
    "validation": (plain(problem(), validation=problem(OTHER, OTHER[:, 0]).cost), "validation was None"),
    "kind": (bayesian(problem()), "prior was None, and is array"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_checkpoint_of_another_run_is_refused_by_name(name, tmp_path):
    path = tmp_path / "run.checkpoint"
    RUNS["plain"](checkpoint=Checkpoint(path), max_iter=3)
    other, message = DIFFERENT[name]
    before = path.read_bytes()
    with pytest.raises(
        CheckpointError, match=rf"is of another run, on another table or with other settings: .*{message}"
    ):
        other(checkpoint=Checkpoint(path))
    assert path.read_bytes() == before


def test_another_start_is_refused_and_the_advice_names_the_seed(tmp_path):
    path = tmp_path / "run.checkpoint"
    minimize(problem(), W0, checkpoint=Checkpoint(path), stopping=Stopping(max_iter=2))
    with pytest.raises(CheckpointError, match=r"w0 has other values.*random_state too"):
        minimize(problem(), W0 + 1, checkpoint=Checkpoint(path))


def test_a_curve_is_known_by_its_residuals_at_the_start(tmp_path):
    path = tmp_path / "run.checkpoint"
    RUNS["curve"](checkpoint=Checkpoint(path), max_iter=3)
    moved = curve()
    residual = moved._residual
    moved._residual = lambda w: residual(w) + 0.1
    with pytest.raises(CheckpointError, match="residual at w0 has other values"):
        plain(moved, metric=MoreMetric())(checkpoint=Checkpoint(path))


@pytest.mark.parametrize("size", [0, 10, 400, -30])
def test_a_damaged_file_is_refused_and_left(size, tmp_path):
    path = tmp_path / "run.checkpoint"
    RUNS["plain"](checkpoint=Checkpoint(path), max_iter=3)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=r"cannot be read as a checkpoint.* Delete it to begin anew"):
        RUNS["plain"](checkpoint=Checkpoint(path))
    assert path.exists()


def test_a_file_that_is_something_else_is_left(tmp_path):
    path = tmp_path / "a.marquardt"
    write_archive(path, {"kind": "weights"}, {"w": np.ones(2)})
    with pytest.raises(CheckpointError, match="is no checkpoint, and is left as it is"):
        RUNS["plain"](checkpoint=Checkpoint(path))


@pytest.mark.parametrize("missing", ["w", "best.w", "history.cost", "updates.noise", "precisions"])
def test_a_file_without_one_of_its_parts_is_damaged(missing, tmp_path, monkeypatch):
    path = tmp_path / "run.checkpoint"

    def without(path, header, arrays):
        write_archive(path, header, {name: array for name, array in arrays.items() if name != missing})

    monkeypatch.setattr(checkpoint_module, "write_archive", without)
    RUNS["Bayesian"](checkpoint=Checkpoint(path), max_iter=6)
    with pytest.raises(CheckpointError, match=r"is damaged \(\w+: .*\): delete it to begin anew"):
        RUNS["Bayesian"](checkpoint=Checkpoint(path))


def test_a_disk_that_is_full_does_not_end_the_run(tmp_path, monkeypatch):
    def full(*arguments):
        raise ModelFileError("could not write: no space left on device")

    monkeypatch.setattr(checkpoint_module, "write_archive", full)
    with pytest.warns(UserWarning, match="no checkpoint: could not write") as caught:
        outcome = RUNS["plain"](checkpoint=Checkpoint(tmp_path / "run", every=1), max_iter=6)
    assert len(caught) == 1
    check_equal(outcome, RUNS["plain"](max_iter=6))


def test_a_place_that_cannot_be_written_is_refused_before_the_run(tmp_path):
    with pytest.raises(OSError, match="Create the folder"):
        RUNS["plain"](checkpoint=Checkpoint(tmp_path / "no" / "run"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"every": 0}, "every=0"), ({"every": 1.5}, "every=1.5"), ({"seconds": -1}, "seconds=-1")],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        Checkpoint("a", **settings)
