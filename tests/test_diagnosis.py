"""Diagnosis: every finding fires on a case built for it, and none on sound fits."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from certified.nist import load
from decay import START, T, Y, analytic, curve, residual
from healthy_fits import HEALTHY, sine
from marquardt import (
    GainRatio,
    History,
    Input,
    Iteration,
    Linear,
    LMClassifier,
    LMRegressor,
    Multiplicative,
    NetworkProblem,
    Relu,
    Status,
    Stopping,
    Tanh,
    least_squares,
    minimize,
)
from marquardt.bayesian.evidence import maximize_evidence
from marquardt.diagnosis import Diagnosis, Finding, Severity, diagnose, diagnose_network
from marquardt.diagnosis import diagnosis as tables


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", HEALTHY)
def test_silent_on_sound_fits(name, seed):
    diagnosis = HEALTHY[name](seed)
    assert not list(diagnosis), str(diagnosis)
    assert "Nothing stood out." in str(diagnosis)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_silent_on_sound_fits_of_thirty_seeds(name):
    """At most one false alarm a case."""
    spoken = {seed: found.names for seed in range(30) if (found := HEALTHY[name](seed))}
    assert len(spoken) <= 1, spoken


# -- the cases built for the findings --------------------------------------------------------------------

LINE = np.linspace(-1, 1, 80)[:, None]


def wrong_jacobian():
    return diagnose(least_squares(residual, START, lambda w: -analytic(w)))


def cut_short():
    network, X, y = sine(0)
    problem = NetworkProblem(network, X, y)
    start = 0.1 * np.random.default_rng(0).normal(size=network.n_params)
    return diagnose(minimize(problem, start, stopping=Stopping(max_iter=3)), problem)


def canyon():
    problem = load("MGH10")
    rule, short = Multiplicative(), Stopping(max_iter=400)
    return diagnose(
        least_squares(problem.residual, problem.start1, problem.jacobian, damping=rule, stopping=short)
    )


def badly_scaled(**method):
    """A wave with its input in hundreds: the units saturate, and the run goes nowhere."""
    network = Input(1) >> Tanh(10) >> Linear(1)
    problem = NetworkProblem(network, 100 * LINE, np.sin(12 * LINE[:, 0]))
    start = 0.1 * np.random.default_rng(0).normal(size=network.n_params)
    plain = {"acceleration": None, "resolve_output": False, "stopping": Stopping(max_iter=200)}
    return diagnose(minimize(problem, start, **plain, **method), problem)


def large_weights():
    """Units that switch within a hundredth of the range of the input."""
    network = Input(1) >> Tanh(4) >> Linear(1)
    start = network.pack([(np.full((4, 1), 300.0), [-200, -70, 70, 200]), (np.ones((1, 4)), [0.0])])
    problem = NetworkProblem(network, LINE, LINE[:, 0], alpha=1e-3)
    return diagnose(minimize(problem, start, stopping=Stopping(max_iter=3)), problem)


def collapsing_damping():
    def bend(w):
        return np.array([100 * (w[1] - w[0] ** 2), 1 - w[0], 0.1])

    return diagnose(
        least_squares(bend, [-1.2, 1], damping=Multiplicative(up=2, down=100), acceleration=False)
    )


def learned_noise():
    network, (X, y) = Input(1) >> Tanh(20) >> Linear(1), sine(1, 60)[1:]
    problem, validation = (NetworkProblem(network, X[rows], y[rows]) for rows in (slice(40), slice(40, 60)))
    start = np.random.default_rng(0).normal(size=network.n_params)
    long = Stopping(max_iter=100, max_fail=None)
    return diagnose(minimize(problem, start, validation=validation.cost, stopping=long))


def too_large():
    network, (X, y) = Input(1) >> Tanh(20) >> Linear(1), sine(1, 60)[1:]
    problem, held_out = (NetworkProblem(network, X[rows], y[rows]) for rows in (slice(40), slice(40, 60)))
    start = np.random.default_rng(0).normal(size=network.n_params)
    return diagnose(minimize(problem, start, stopping=Stopping(max_iter=100)), problem, held_out=held_out)


def dying_relu():
    network, X, y = Input(1) >> Relu(6) >> Linear(1), LINE, LINE[:, 0] ** 2
    hidden = (np.ones((6, 1)), np.array([-5.0, -5, -5, -5, 0, 0.5]))  # off on all of (-1, 1)
    start = network.pack([hidden, (np.ones((1, 6)), [0.0])])
    problem = NetworkProblem(network, X, y, alpha=1e-3)
    return diagnose(minimize(problem, start, stopping=Stopping(max_iter=50)), problem)


def too_small():
    network, X, y = Input(1) >> Tanh(1) >> Linear(1), LINE, np.sin(9 * LINE[:, 0])
    problem = NetworkProblem(network, X, y, alpha=1e-3)
    return diagnose(minimize(problem, [1.0, 0, 1, 0]), problem)


def kirby():
    """NIST's Kirby2: the certified curve is a pattern away from the data."""
    problem = load("Kirby2")
    return diagnose(least_squares(problem.residual, problem.start2, problem.jacobian))


def only_the_sum():
    return diagnose(least_squares(lambda w: (w[0] + w[1]) * T + w[2] - Y, [0.0, 1, 0], names=["a", "b", "c"]))


def nearly_equal_columns():
    columns = np.column_stack([T, T + 1e-9 * T**2, np.ones(40)])
    return diagnose(least_squares(lambda w: columns @ w - Y, [0.0, 1, 0], lambda w: columns))


def far_from_zero():
    """Calendar years: level and slope of a line a thousand spreads away."""
    return diagnose(
        least_squares(lambda w: w[0] + w[1] * (T + 2000.0) - Y, [0.0, 0.0], names=["level", "slope"])
    )


def lonely_row():
    """One point decides the slope alone."""
    x = np.r_[np.linspace(0, 1, 30), 1e3]
    y = np.r_[np.random.default_rng(0).normal(size=30), 500.0]
    return diagnose(least_squares(lambda w: w[0] + w[1] * x - y, [0.0, 0.0]))


def outlier():
    y = Y.copy()
    y[0] += 1.0
    return diagnose(least_squares(lambda w: curve(T, *w) - y, START))


def by_evidence(network, X, y):
    problem = NetworkProblem(network, X, y)
    start = 0.5 * np.random.default_rng(0).normal(size=network.n_params)
    return diagnose(maximize_evidence(problem, start, stopping=Stopping(max_iter=500)), problem)


def pure_noise():
    return by_evidence(Input(1) >> Tanh(6) >> Linear(1), LINE, np.random.default_rng(2).normal(size=80))


def every_parameter():
    x = np.random.default_rng(0).uniform(-1, 1, (500, 1))
    y = np.sin(3 * x[:, 0]) + 0.5 * np.cos(7 * x[:, 0]) + 0.01 * np.random.default_rng(1).normal(size=500)
    return by_evidence(Input(1) >> Tanh(4) >> Linear(1), x, y)


def computed_targets():
    return by_evidence(Input(1) >> Tanh(6) >> Linear(1), LINE, np.sin(3 * LINE[:, 0]))


CASES: dict[str, tuple[Callable[[], Diagnosis], Severity]] = {
    "stalled": (wrong_jacobian, Severity.FAULT),
    "wrong derivative": (wrong_jacobian, Severity.FAULT),
    "unfinished": (cut_short, Severity.WARNING),
    "slow convergence": (canyon, Severity.WARNING),
    "oscillation of the cost": (lambda: badly_scaled(damping=Multiplicative()), Severity.WARNING),
    "oscillation of the damping": (
        lambda: badly_scaled(damping=GainRatio(up=1.5, down=1.5, initial=1e3)),
        Severity.WARNING,
    ),
    "divergence": (collapsing_damping, Severity.WARNING),
    "validation rise": (learned_noise, Severity.NOTE),
    "saturated units": (large_weights, Severity.WARNING),
    "dead units": (dying_relu, Severity.WARNING),
    "underfitting": (too_small, Severity.WARNING),
    "patterned residuals": (kirby, Severity.WARNING),
    "overfitting": (too_large, Severity.WARNING),
    "held-out gap": (too_large, Severity.WARNING),
    "rank deficiency": (only_the_sum, Severity.FAULT),
    "ill conditioning": (nearly_equal_columns, Severity.WARNING),
    "correlated parameters": (far_from_zero, Severity.NOTE),
    "leverage": (lonely_row, Severity.NOTE),
    "influential rows": (outlier, Severity.WARNING),
    "nothing found": (pure_noise, Severity.FAULT),
    "all parameters in use": (every_parameter, Severity.NOTE),
    "no noise": (computed_targets, Severity.NOTE),
}


@pytest.mark.parametrize("name", CASES)
def test_each_finding_fires_on_its_case(name):
    case, severity = CASES[name]
    diagnosis = case()
    found = {finding.name: finding for finding in diagnosis}
    assert name in found, str(diagnosis)
    finding = found[name]
    assert finding.severity is severity
    assert finding.evidence and all(isinstance(float(value), float) for value in finding.evidence.values())
    assert any(character.isdigit() for character in finding.sentence), "a sentence carries its numbers"
    assert finding.sentence.endswith(".") and finding.remedy.endswith(".")
    assert Finding.from_dict(finding.to_dict()) == replace(
        finding, evidence={key: float(value) for key, value in finding.evidence.items()}
    )


def test_every_detector_has_a_case():
    detectors = [*tables.RECORD, *tables.LINEARIZATION, *tables.DECOMPOSITION, *tables.EVIDENCE]
    assert len(CASES) == len(detectors) + 1  # oscillation has two names


# -- the face --------------------------------------------------------------------------------------------


def test_a_result_alone_tells_how_the_run_went():
    problem = load("MGH10")
    fit = least_squares(
        problem.residual,
        problem.start1,
        problem.jacobian,
        damping=Multiplicative(),
        stopping=Stopping(max_iter=400),
    )
    bare = replace(fit.result, linearization=None)
    diagnosis = diagnose(bare)
    assert diagnosis.names == ("slow convergence",)
    assert diagnosis.not_examined == ("units and Jacobian (give diagnose the problem)",)
    again = replace(bare, history=History.from_dict(bare.history.to_dict()))  # as from a file
    assert diagnose(again) == diagnosis
    assert diagnose(pickle.loads(pickle.dumps(fit))).names == diagnose(fit).names


def test_a_diagnosis_is_a_sequence_the_gravest_first():
    diagnosis = wrong_jacobian()
    grades = [finding.severity for finding in diagnosis]
    assert grades == sorted(grades, key=list(Severity)[::-1].index)
    assert diagnosis[0] in diagnosis and len(diagnosis[:1]) == 1
    assert str(diagnosis).startswith("fault: ")


def test_the_network_of_an_estimator():
    network, X, y = sine(0)
    problem = NetworkProblem(network, X, y, alpha=0.01)
    result = minimize(problem, 0.5 * np.random.default_rng(0).normal(size=network.n_params))
    assert diagnose_network(network, X, y, result, alpha=0.01) == diagnose(result, problem)
    noisy = y + np.random.default_rng(0).normal(size=100)
    gap = diagnose_network(network, X, y, result, alpha=0.01, held_out=(X, noisy))
    assert gap.names == ("held-out gap",)


def test_a_jacobian_too_large_to_decompose_is_said(monkeypatch):
    monkeypatch.setattr("marquardt.diagnosis.subject.MOST_FLOPS", 1.0)
    network, X, y = sine(0)
    problem = NetworkProblem(network, X, y, alpha=0.01)
    diagnosis = diagnose(minimize(problem, np.ones(network.n_params), stopping=Stopping(max_iter=1)), problem)
    assert "rank, leverage and correlations" in str(diagnosis)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: diagnose(3), TypeError, "fit is a int: diagnose takes a Result, an"),
        (
            lambda: diagnose(
                least_squares(residual, START), NetworkProblem(Input(1) >> Linear(1), [[1.0]], [1.0])
            ),
            ValueError,
            "problem has 2 parameters, but the fit has 3",
        ),
        (lambda: Finding.from_dict({"name": "x"}), KeyError, "sentence"),
        (
            lambda: Finding.from_dict(
                {"name": "x", "sentence": 3, "remedy": "", "severity": "note", "evidence": {}}
            ),
            TypeError,
            "is not text",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def record(iteration, cost, **more):
    return Iteration(iteration, cost, 1.0, 1.0, 1.0, 1.0, 0, iteration + 1, iteration + 1, 0.0, **more)


@pytest.mark.parametrize("cost", [0.0, 1e-300, np.inf, np.nan])
@pytest.mark.parametrize("length", [0, 1, 2, 50])
@pytest.mark.parametrize("status", list(Status))
def test_no_record_breaks_it(cost, length, status):
    history = History([record(i, cost, decrease=0.0) for i in range(length)])
    result = minimize(NetworkProblem(Input(1) >> Linear(1), [[1.0], [2.0]], [1.0, 2.0]), [0.0, 0.0])
    odd = replace(result, history=history, status=status, cost=cost, linearization=None)
    assert isinstance(str(diagnose(odd)), str)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_parameters_beyond_all_numbers(bad):
    network, X, y = sine(0)
    problem = NetworkProblem(network, X, y)
    result = minimize(problem, np.ones(network.n_params), stopping=Stopping(max_iter=1))
    odd = replace(result, w=np.full(network.n_params, bad))
    assert isinstance(str(diagnose(odd, problem)), str)


def test_rows_are_named_with_their_output():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (60, 1))
    Y = np.column_stack([X[:, 0], -X[:, 0]]) + 0.01 * rng.normal(size=(60, 2))
    X[7], Y[7] = 5.0, (5.0, 3.0)
    problem = NetworkProblem(Input(1) >> Linear(2), X, Y)
    (finding,) = diagnose(minimize(problem, np.zeros(4)), problem)
    assert finding.sentence.startswith("Row 7 (output 1) moves the estimates")
    assert finding.evidence["row"] == 7
    (finding,) = diagnose(minimize(problem, np.zeros(4)), problem, rows=range(100, 160))
    assert finding.sentence.startswith("Row 107 (output 1) moves") and finding.evidence["row"] == 107


@pytest.mark.parametrize("regularization", ["l2", "bayesian"])
@pytest.mark.parametrize("kind", [LMRegressor, LMClassifier])
def test_a_fitted_estimator_is_diagnosed(kind, regularization):
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = (X[:, 0] > 0).astype(int)
    model = kind((3,), regularization=regularization, n_starts=1, random_state=0).fit(X, y)
    fit = model.result_ if model.evidence_ is None else model.evidence_
    assert str(diagnose(model)) == str(diagnose(fit))
    with pytest.raises(ValueError, match=f"{kind.__name__} is not fitted: call fit before diagnose"):
        diagnose(kind())
    model.set_params(max_iter=1)
    with pytest.warns(ConvergenceWarning):
        assert "unfinished" in diagnose(model.fit(X, y)).names
