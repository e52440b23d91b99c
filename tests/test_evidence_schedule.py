"""When precisions are re-estimated, what they do in between, and when the run ends."""

from dataclasses import replace

import numpy as np
import pytest

from evidence_cases import NETWORK, linear_data, network_data
from marquardt import Input, Linear, Logistic, NetworkProblem, Stopping, Tanh
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.bayesian.evidence_run import EvidenceRun, _carried
from marquardt.bayesian.precisions import Evidence, Precisions
from marquardt.bayesian.schedule import CLASS_SCHEDULE, Schedule
from marquardt.files.evidence_data import stacked, unstacked
from marquardt.losses import cross_entropy

NETWORK_START = 0.5 * np.random.default_rng(1).normal(size=NETWORK.n_params)
EVERY_STEP = Schedule(first=10_000)


def evidences(gammas, steps=None, logs=None):
    """Estimates with these γ, a row each."""
    gammas = np.atleast_2d(np.array(gammas, dtype=float).T).T
    steps = range(1, len(gammas) + 1) if steps is None else steps
    logs = np.arange(len(gammas)) if logs is None else logs
    precisions = Precisions(np.ones(gammas.shape[1]), 10.0)
    columns = zip(gammas, logs, steps, strict=True)
    return [Evidence(precisions, gamma, float(log), int(n)) for gamma, log, n in columns]


def run_of(schedule=None):
    X, y = network_data()
    run = EvidenceRun(NetworkProblem(NETWORK, X, y), schedule=schedule)
    assert run.start(NETWORK_START) is None
    return run


def test_the_first_steps_have_one_re_estimation_each_and_later_ones_wait():
    run = run_of(Schedule(first=3, every=4, settled_every=8, settled=0.0))
    for _ in range(15):
        assert run.step() is None
    assert [update.n_iter for update in run.updates] == [1, 2, 3, 7, 11]
    run = run_of(Schedule(first=3, every=4, settled_every=6, settled=1e9))
    for _ in range(15):
        assert run.step() is None
    assert [update.n_iter for update in run.updates] == [1, 2, 3, 9]


def test_between_re_estimations_the_precisions_follow_weights_and_noise():
    run = run_of(Schedule(first=2, every=50, settled_every=50))
    for _ in range(4):
        run.step()
    gamma, before = run.updates[-1].effective, run.precisions
    assert len(run.updates) == 2
    w = run.state.at.w
    run.step()
    assert len(run.updates) == 2
    # those of the point where the step began, by the formulas of a re-estimation
    rule, noise = run.model.rule, run.model.noise
    weights = (gamma + 2 * rule.shape) / (run.model.groups.sums(w * w) + 2 * rule.rate)
    weights = np.clip(np.clip(weights, rule.smallest, rule.largest), before.weights / 10, before.weights * 10)
    np.testing.assert_allclose(run.precisions.weights, weights)
    beta = noise.reestimated(before.noise, gamma.sum(), run.problem.data_cost(w), {})
    assert run.precisions.noise == pytest.approx(np.clip(beta, before.noise / 10, before.noise * 10))


def test_a_point_under_followed_precisions_is_linearized_right():
    run = run_of(Schedule(first=2, every=50, settled_every=50))
    for _ in range(5):
        run.step()
    run._follow(run.state)
    at, again = run.state.at, run.problem.linearize(run.state.at.w)
    np.testing.assert_allclose(at.gradient, again.gradient, rtol=1e-9, atol=1e-12 * abs(again.offset).max())
    np.testing.assert_array_equal(at.offset, again.offset)
    assert at.cost == pytest.approx(again.cost, rel=1e-12)


@pytest.mark.parametrize(
    "gammas, expected",
    [
        ([[3.0, 1.0]], [3.0, 1.0]),
        ([[3.0, 1.0], [2.0, 2.0]], [2.0, 2.0]),
        ([[3.0, 1.0], [2.0, 2.0], [2.5, 3.0]], [2.25, 3.0]),  # the first swings, the second rises
        ([[9.0, 9.0], [3.0, 1.0], [2.0, 2.0], [2.0, 1.0]], [2.0, 1.5]),
    ],
)
def test_a_gamma_that_swings_is_taken_at_the_middle(gammas, expected):
    np.testing.assert_allclose(_carried(evidences(gammas)), expected)


@pytest.mark.parametrize("seed", range(3))
def test_rare_re_estimations_find_what_one_after_every_step_finds(seed):
    rng = np.random.default_rng(seed)
    X, y = network_data()
    y = y + 0.05 * rng.normal(size=len(y))
    start = NETWORK_START + 0.1 * rng.normal(size=NETWORK_START.shape)
    problem, stopping = NetworkProblem(NETWORK, X, y), Stopping(max_iter=300)
    rare = maximize_evidence(problem, start, stopping=stopping)
    often = maximize_evidence(problem, start, stopping=stopping, schedule=EVERY_STEP)
    assert len(rare.updates) < 0.6 * len(often.updates)
    assert rare.log_evidence == pytest.approx(often.log_evidence, abs=2.0)
    assert rare.noise_sd == pytest.approx(often.noise_sd, rel=0.05)


def test_a_linear_model_converges_to_where_one_after_every_step_ends():
    X, y = linear_data()
    network = Input(3) >> Linear(1)
    exact = {"window": 20, "gamma_tolerance": 1e-7, "evidence_tolerance": 1e-9, "patience": 10_000}
    fits = [
        maximize_evidence(NetworkProblem(network, X, y), np.zeros(4), schedule=schedule)
        for schedule in (Schedule(**exact), replace(EVERY_STEP, **exact))
    ]
    last = [fit.updates[-1] for fit in fits]
    assert last[0].total == pytest.approx(last[1].total, abs=1e-5)
    assert last[0].log_evidence == pytest.approx(last[1].log_evidence, abs=1e-6)


@pytest.mark.parametrize(
    "steps, logs, ends",
    [
        ([1, 5, 9, 21], [0.0, 3.0, 1.0, 2.0], False),  # the highest is 16 steps old
        ([1, 5, 9, 25], [0.0, 3.0, 1.0, 2.0], True),
        ([1, 5, 9, 25], [0.0, 3.0, 1.0, 3.5], False),
        ([1, 5, 9, 25], [0.0, 3.0, 1.0, 3.01], True),  # within the tolerance
        ([30] * 25, [0.0] * 25, False),  # re-estimations at one point are no steps
    ],
)
def test_patience_counts_steps(steps, logs, ends):
    reason = Schedule(patience=20).ended(evidences([[5.0]] * len(steps), steps, logs), decrease=1.0)
    assert (reason is not None) == ends
    if ends:
        assert "n the last 20 iterations" in reason


def test_estimates_are_kept_with_their_steps_and_older_files_without():
    kept = evidences([[3.0, 1.0], [2.0, 2.0]], steps=[4, 9])
    arrays = stacked("updates", kept, 2)
    assert [update.n_iter for update in unstacked("updates", arrays)] == [4, 9]
    del arrays["updates.n_iter"]
    assert [update.n_iter for update in unstacked("updates", arrays)] == [0, 0]


def test_classes_have_a_schedule_of_their_own():
    X, y = network_data()
    network = Input(2) >> Tanh(3) >> Logistic(1)
    classes = NetworkProblem(network, X, (y > 0).astype(float), loss=cross_entropy)
    assert EvidenceRun(classes).schedule is CLASS_SCHEDULE
    assert EvidenceRun(classes, schedule=EVERY_STEP).schedule is EVERY_STEP
    assert EvidenceRun(NetworkProblem(NETWORK, X, y)).schedule == Schedule()


def test_first_must_be_positive():
    with pytest.raises(ValueError, match="first=0"):
        Schedule(first=0)
