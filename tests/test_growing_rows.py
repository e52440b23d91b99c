"""Runs that begin on a part of the rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from marquardt import (
    ClosedLoopProblem,
    Feedback,
    GrowingRows,
    Input,
    Linear,
    LMClassifier,
    LMRegressor,
    Logistic,
    NetworkProblem,
    Softmax,
    Stopping,
    Tanh,
    maximize_evidence,
    minimize,
)
from marquardt.bayesian.evidence_run import EvidenceRun
from marquardt.bayesian.precisions import Precisions
from marquardt.damping import MarquardtMetric
from marquardt.estimators.choices import GROWTH_PAYS, chosen_growth
from marquardt.files.checkpoint import Checkpoint
from marquardt.growing_rows import EarlySteps
from marquardt.initialization import default_initialization
from marquardt.losses import Huber, cross_entropy
from marquardt.method import Method
from marquardt.residual_problem import ResidualProblem
from marquardt.result import Status

ROWS = GrowingRows()
ALL_AT_ONCE = GrowingRows(first=1e9)
LIMIT = Stopping(max_iter=60, cost_tolerance=1e-6)


def data(n=1200, outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, 3))
    columns = [np.sin(3 * X[:, 0] + k) * X[:, 1] + 0.5 * X[:, 2] for k in range(outputs)]
    return X, np.stack(columns, axis=1) + 0.1 * rng.standard_normal((n, outputs))


def problem(n=1200, outputs=1, units=5, **options):
    X, y = data(n, outputs)
    return NetworkProblem(Input(3) >> Tanh(units) >> Linear(outputs), X, y, **options)


def start(of, seed=1):
    rng = np.random.default_rng(seed)
    return default_initialization(of.network).draw(of.network, rng, of.identity()["X"])


def classes(n=1200, kinds=3):
    X, y = data(n, kinds)
    return NetworkProblem(
        Input(3) >> Tanh(4) >> Softmax(kinds),
        X,
        np.eye(kinds)[y.argmax(axis=1)],
        loss=cross_entropy,
        alpha=0.1,
    )


def labels(n=1200):
    X, y = data(n, 2)
    layers = Input(3) >> Tanh(4) >> Logistic(2)
    return NetworkProblem(layers, X, (y > 0).astype(float), loss=cross_entropy, alpha=0.1)


weights = np.random.default_rng(5).uniform(0.5, 2.0, 1200)
holes = (np.random.default_rng(6).random((1200, 2)) > 0.3).astype(float)
TABLE = {
    "plain": problem(),
    "outputs": problem(outputs=3),
    "prior": problem(alpha=0.01),
    "weights": problem(sample_weight=weights, alpha=0.01),
    "holes": problem(outputs=2, sample_weight=holes),
    "robust": problem(loss=Huber(), alpha=0.01),
    "classes": classes(),
    "labels": labels(),
}


# -- parts -----------------------------------------------------------------------------------------


def test_counts_grow_by_the_factor_and_leave_a_third_of_the_rows():
    assert GrowingRows().counts(10_000, 241) == [964, 3856]
    assert GrowingRows(first=2.0).counts(10_000, 241, values_per_row=5) == [96, 385, 1542, 6169]
    assert GrowingRows(factor=2.0).counts(10_000, 241) == [964, 1928, 3856]
    assert GrowingRows().counts(1445, 241) == [] != GrowingRows().counts(1446, 241)
    assert GrowingRows(first=1e-9, factor=1.01).counts(5, 10) == [1, 2, 3]


def test_a_part_has_the_rows_of_those_before_and_the_seed_draws_them():
    of = problem()
    rows = [{tuple(row) for row in part.problem.identity()["X"]} for part in ROWS.parts(of)]
    assert [len(part) for part in rows] == ROWS.counts_of(of) == [104, 416]
    assert rows[0] < rows[1]
    again = [{tuple(row) for row in part.problem.identity()["X"]} for part in ROWS.parts(of)]
    other = next(GrowingRows(seed=1).parts(of)).problem.identity()["X"]
    assert rows == again and rows[0] != {tuple(row) for row in other}


@pytest.mark.parametrize("name", TABLE)
def test_the_costs_of_complementary_parts_add_to_the_whole(name):
    of = TABLE[name]
    w, order = start(of), np.random.default_rng(3).permutation(of.n_samples)
    parts = [of.take(order[:500]), of.take(order[500:])]
    assert sum(part.data_cost(w) for part in parts) == pytest.approx(of.data_cost(w))
    assert sum(part.total_weight for part in parts) == pytest.approx(of.total_weight)
    data_gradients = [part.linearize(w).gradient for part in parts]
    offset = 0.0 if of.prior is None else of.prior * w
    np.testing.assert_allclose(sum(data_gradients) - offset, of.linearize(w).gradient, rtol=1e-9, atol=1e-9)


def test_a_part_equals_the_problem_made_of_its_rows():
    of, rows = TABLE["weights"], np.array([3, 700, 11])
    X, y = data()
    made = NetworkProblem(of.network, X[rows], y[rows], sample_weight=weights[rows], prior=of.prior)
    w = start(of)
    assert of.take(rows).cost(w) == made.cost(w)
    np.testing.assert_array_equal(of.take(rows).linearize(w).gradient, made.linearize(w).gradient)


def test_the_prior_of_a_part_is_the_share_of_its_weight():
    of = TABLE["weights"]
    for part in ROWS.parts(of):
        assert part.share == pytest.approx(part.problem.total_weight / weights.sum())
        np.testing.assert_allclose(part.of_all.prior, of.prior * part.share)
        assert part.problem.prior is of.prior


# -- runs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE)
def test_the_history_holds_the_falling_cost_of_all_rows(name):
    of = TABLE[name]
    w0, seen = start(of), []
    result = minimize(of, w0, rows=ROWS, stopping=LIMIT, callback=lambda now: seen.append(now.cost))
    costs = result.history.column("cost")
    assert costs[0] == pytest.approx(of.cost(w0)) and (np.diff(costs) < 0).all()
    assert seen == costs.tolist()
    np.testing.assert_allclose(-np.diff(costs), result.history.column("decrease")[1:], rtol=1e-9, atol=1e-9)
    assert result.cost == pytest.approx(of.cost(result.w)) == costs.min()
    assert (np.diff(result.history.column("n_jacobians")) >= 1).all()
    assert result.n_jacobians >= result.history[-1].n_jacobians and result.linearization is not None
    np.testing.assert_array_equal(result.linearization.w, result.w)
    assert len(result.linearization.residual) == of.n_samples * len(of.targets)


@pytest.mark.parametrize("name", TABLE)
def test_all_rows_at_once_is_minimize_to_the_last_bit(name):
    of = TABLE[name]
    w0 = start(of)
    plain = minimize(of, w0, stopping=LIMIT)
    same = minimize(of, w0, rows=ALL_AT_ONCE, stopping=LIMIT)
    np.testing.assert_array_equal(plain.w, same.w)
    assert plain.history.column("cost").tolist() == same.history.column("cost").tolist()
    assert (plain.n_jacobians, plain.n_costs, plain.message) == (same.n_jacobians, same.n_costs, same.message)


@pytest.mark.parametrize("metric", [None, MarquardtMetric()], ids=["identity", "scaled"])
@pytest.mark.parametrize("acceleration", [True, None])
def test_it_ends_in_a_minimum_of_all_rows(metric, acceleration):
    of = problem(units=2, alpha=0.01)
    result = minimize(of, start(of), rows=ROWS, metric=metric, acceleration=acceleration)
    assert result.status.converged
    gradient = of.linearize(result.w).gradient
    assert np.abs(gradient).max() < 1e-5 * np.abs(of.linearize(start(of)).gradient).max()


def test_the_parts_take_most_of_the_early_steps():
    of = problem(n=6000)
    steps = EarlySteps(ROWS, Method(), of, start(of), 1e-6)
    states = list(steps)
    assert steps.standing.n_rows == ROWS.counts_of(of) == [104, 416, 1664]
    assert states[-1].at.cost < 0.5 * states[0].at.cost
    over = steps.handed_over()
    assert over.at.cost == pytest.approx(states[-1].at.cost)
    assert over.n_jacobians > states[-1].n_jacobians and over.n_costs > states[-1].n_costs


def test_the_same_seed_gives_the_same_run():
    of = problem()
    one, two = (minimize(of, start(of), rows=ROWS, stopping=LIMIT) for _ in range(2))
    np.testing.assert_array_equal(one.w, two.w)
    other = minimize(of, start(of), rows=GrowingRows(seed=1), stopping=LIMIT)
    assert not np.array_equal(one.w, other.w)


@pytest.mark.parametrize("limit", [0, 1, 3, 30])
def test_iterations_of_the_parts_count(limit):
    of = problem()
    result = minimize(of, start(of), rows=ROWS, stopping=Stopping(max_iter=limit))
    assert result.status is Status.MAX_ITER and result.n_iter == limit
    assert result.cost == pytest.approx(of.cost(result.w))


def test_time_and_goal_end_a_run_on_a_part():
    of = problem()
    assert minimize(of, start(of), rows=ROWS, stopping=Stopping(max_time=0.0)).status is Status.MAX_TIME
    goal = 0.9 * of.cost(start(of))
    result = minimize(of, start(of), rows=ROWS, stopping=Stopping(cost_goal=goal))
    assert result.status is Status.COST_GOAL and result.n_iter == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("at", [2, 25])
def test_what_a_callback_raises_loses_nothing(error, at):
    of = problem()

    def callback(now):
        if now.iteration == at:
            raise error("enough")

    result = minimize(of, start(of), rows=ROWS, callback=callback)
    assert result.status in (Status.INTERRUPTED, Status.CALLBACK_FAILED) and result.n_iter == at
    assert result.cost == result.history.column("cost").min() == pytest.approx(of.cost(result.w))
    assert isinstance(result.error, error)


def test_ctrl_c_within_a_step_on_a_part_keeps_the_best_point():
    of = problem()

    class Interrupting(NetworkProblem):
        count = 0

        def data_cost(self, w):
            Interrupting.count += 1
            if Interrupting.count == 12:
                raise KeyboardInterrupt
            return super().data_cost(w)

    X, y = data()
    result = minimize(Interrupting(of.network, X, y), start(of), rows=ROWS)
    assert result.status is Status.INTERRUPTED and 0 < result.n_iter < 12
    assert result.cost == result.history.column("cost").min() == pytest.approx(of.cost(result.w))


def test_validation_chooses_among_the_steps_of_the_parts_too():
    of, held = problem(n=400, units=8), problem(n=1200).take(np.arange(1000, 1200))
    held = NetworkProblem(of.network, *data(200, seed=9))
    result = minimize(of, start(of), rows=ROWS, validation=held.cost, stopping=Stopping(max_fail=4))
    values = result.history.column("validation_cost")
    assert held.cost(result.w) == pytest.approx(np.nanmin(values))
    assert result.status is Status.MAX_FAIL


@pytest.mark.parametrize("limit", [2, 14])
def test_a_checkpoint_goes_on_bit_for_bit(tmp_path, limit):
    of = problem()
    w0, path = start(of), tmp_path / "run.checkpoint"
    whole = minimize(of, w0, rows=ROWS, stopping=LIMIT)
    first = minimize(
        of, w0, rows=ROWS, stopping=Stopping(limit, cost_tolerance=1e-6), checkpoint=Checkpoint(path)
    )
    assert first.n_iter == limit
    second = minimize(of, w0, rows=ROWS, stopping=LIMIT, checkpoint=Checkpoint(path))
    np.testing.assert_array_equal(second.w, whole.w)
    assert second.history.column("cost").tolist() == whole.history.column("cost").tolist()
    assert (second.n_jacobians, second.n_costs) == (whole.n_jacobians, whole.n_costs)


def test_a_start_that_is_not_finite_says_so():
    of = problem()
    result = minimize(of, np.full(of.n_params, 1e200), rows=ROWS)
    assert result.status is Status.NO_FINITE_START


@pytest.mark.parametrize(
    ("options", "message"),
    [({"first": 0.0}, "first=0.0"), ({"factor": 1.0}, "factor=1.0"), ({"agreement": 1.5}, "agreement=1.5")],
)
def test_bad_numbers_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        GrowingRows(**options)


def test_a_problem_without_rows_is_refused():
    plain = ResidualProblem(lambda w: w - 1.0, 2, lambda w: np.eye(2))
    with pytest.raises(TypeError, match=r"rows needs a problem made of rows.*ResidualProblem"):
        minimize(plain, np.zeros(2), rows=ROWS)


def test_the_rows_of_a_closed_loop_are_not_taken_apart():
    y = 0.5 ** np.arange(30.0)
    closed = ClosedLoopProblem(Input(1) >> Linear(1), y[:, None], y, Feedback([0], [0], [1]))
    with pytest.raises(TypeError, match="closed loop"):
        minimize(closed, np.zeros(closed.n_params), rows=ROWS)


# -- the evidence ----------------------------------------------------------------------------------


def test_the_evidence_of_all_rows_at_once_is_that_without():
    of = problem(alpha=0.0)
    plain, same = (maximize_evidence(of, start(of), rows=rows) for rows in (None, ALL_AT_ONCE))
    np.testing.assert_array_equal(plain.result.w, same.result.w)
    assert plain.log_evidence == same.log_evidence


@pytest.mark.parametrize("name", ["plain", "outputs", "holes", "classes", "labels"])
def test_the_evidence_is_that_of_all_rows(name):
    of = TABLE[name]
    w0 = start(of)
    fit = maximize_evidence(of, w0, rows=ROWS)
    assert fit.result.status is Status.EVIDENCE and fit.posterior is not None
    assert fit.result.history[0].cost > fit.result.history[-1].cost
    there = EvidenceRun(of)
    there.begin(fit.result.w, Precisions(fit.weight_precision, fit.noise_precision))
    again = there.finish((Status.MAX_ITER, "at once"))
    assert again.log_evidence == pytest.approx(fit.log_evidence)
    assert again.result.cost == pytest.approx(fit.result.cost)
    ends = [np.abs(there.problem.linearize(w).gradient).max() for w in (w0, fit.result.w)]
    assert ends[1] < 1e-2 * ends[0]


@pytest.mark.parametrize("limit", [0, 3, 20])
def test_a_limit_on_a_part_gives_the_evidence_of_all_rows(limit):
    of = problem()
    fit = maximize_evidence(of, start(of), rows=ROWS, stopping=Stopping(max_iter=limit))
    assert fit.result.status is Status.MAX_ITER and fit.result.n_iter == limit
    assert np.isfinite(fit.log_evidence) and fit.posterior is not None


@pytest.mark.parametrize("limit", [3, 22])
def test_a_checkpoint_of_the_evidence_goes_on_bit_for_bit(tmp_path, limit):
    of = problem()
    w0, path = start(of), tmp_path / "run.checkpoint"
    whole = maximize_evidence(of, w0, rows=ROWS)
    maximize_evidence(of, w0, rows=ROWS, stopping=Stopping(limit), checkpoint=Checkpoint(path))
    again = maximize_evidence(of, w0, rows=ROWS, checkpoint=Checkpoint(path))
    np.testing.assert_array_equal(again.result.w, whole.result.w)
    assert again.log_evidence == whole.log_evidence


def test_ctrl_c_on_a_part_of_the_evidence():
    of = problem()

    def callback(now):
        if now.iteration == 4:
            raise KeyboardInterrupt

    fit = maximize_evidence(of, start(of), rows=ROWS, callback=callback)
    assert fit.result.status is Status.INTERRUPTED and fit.posterior is not None
    assert of.data_cost(fit.result.w) < of.data_cost(start(of))


# -- estimators ------------------------------------------------------------------------------------


def test_auto_asks_for_many_rows():
    of = problem(n=2000)
    enough = GROWTH_PAYS * of.n_params
    assert chosen_growth("auto", of.take(np.arange(enough))) == ROWS
    assert chosen_growth("auto", of.take(np.arange(enough - 1))) is None
    assert chosen_growth("auto", classes(n=5000)) is None
    assert chosen_growth(True, of.take(np.arange(20))) == ROWS
    mine = GrowingRows(first=3.0)
    assert chosen_growth(mine, of) is mine and chosen_growth(False, of) is None


@pytest.mark.parametrize(
    "options", [{"growing_rows": True}, {"alpha": 0.01}, {"alpha": 0.0, "early_stopping": True}]
)
def test_the_regressor_grows_by_itself_and_says_so(options, capsys):
    X, y = data(2000)
    model = LMRegressor((5,), n_starts=2, random_state=0, verbose=True, **options).fit(X, y[:, 0])
    assert "begins on 104 of" in capsys.readouterr().out
    plain = clone(model).set_params(growing_rows=False).fit(X, y[:, 0])
    assert "begins on" not in capsys.readouterr().out
    assert model.score(X, y[:, 0]) == pytest.approx(plain.score(X, y[:, 0]), abs=0.01)
    assert not np.array_equal(model.w_, plain.w_)


def test_the_evidence_does_not_grow_by_itself_nor_a_warm_start(capsys):
    """Nor is a problem made to find that out."""
    X, y = data(2000)
    LMRegressor((5,), n_starts=1, random_state=0, max_iter=200, verbose=True).fit(X, y[:, 0])
    assert "begins on" not in capsys.readouterr().out
    model = LMRegressor((5,), alpha=0.01, n_starts=1, random_state=0, warm_start=True, verbose=True)
    model.fit(X, y[:, 0])
    assert "begins on" in capsys.readouterr().out
    model.fit(X, y[:, 0])
    assert "begins on" not in capsys.readouterr().out


def test_the_result_does_not_depend_on_n_jobs_or_the_order_of_rows():
    X, y = data(2000)
    model = LMRegressor((5,), alpha=0.01, n_starts=2, tol=1e-3, random_state=0)
    one = clone(model).fit(X, y[:, 0])
    two = clone(model).set_params(n_jobs=2).fit(X[::-1], y[::-1, 0])
    np.testing.assert_array_equal(one.w_, two.w_)


def test_the_classifier_grows():
    X, y = data(n=2000, outputs=3)
    model = LMClassifier((4,), n_starts=4, random_state=0, growing_rows=True).fit(X, y.argmax(axis=1))
    plain = clone(model).set_params(growing_rows=False).fit(X, y.argmax(axis=1))
    assert model.loss_ == pytest.approx(plain.loss_, rel=0.03)
    assert not np.array_equal(model.w_, plain.w_)


@pytest.mark.parametrize("options", [{"loss": "huber"}, {"growing_rows": False, "alpha": 0.1}, {}])
def test_all_rows_at_once_otherwise(options, capsys):
    X, y = data(2000)
    LMRegressor((5,), n_starts=1, tol=1e-2, verbose=True, **options).fit(X, y[:, 0])
    assert "begins on" not in capsys.readouterr().out


def test_a_warm_start_has_all_rows(capsys):
    X, y = data(2000)
    model = LMRegressor((5,), alpha=0.1, n_starts=1, tol=1e-2, warm_start=True, random_state=0).fit(
        X, y[:, 0]
    )
    model.set_params(verbose=True).fit(X, y[:, 0])
    assert "begins on" not in capsys.readouterr().out


def test_growth_and_a_robust_loss_do_not_go_together():
    X, y = data()
    with pytest.raises(ValueError, match=r"growing_rows=True.*robust fit"):
        LMRegressor((5,), loss="huber", growing_rows=True).fit(X, y[:, 0])
