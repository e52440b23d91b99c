"""A network too large is refused before anything is allocated, with advice."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from marquardt import (
    QR,
    Auto,
    Cholesky,
    Dual,
    Eigen,
    Input,
    Linear,
    LMRegressor,
    Logistic,
    NetworkProblem,
    Softmax,
    Stopping,
    Tanh,
    minimize,
)
from marquardt.estimators import training_memory
from marquardt.estimators.training_memory import check_training_memory, training_bytes
from marquardt.losses import cross_entropy

X = np.random.default_rng(0).normal(size=(50, 4))


@pytest.fixture
def one_gigabyte(monkeypatch):
    monkeypatch.setattr(training_memory, "available_bytes", lambda: 1_000_000_000)


def test_a_network_that_fits_passes(one_gigabyte):
    check_training_memory(Input(4) >> Tanh(100) >> Linear(1), 1000, Auto())


def test_the_message_says_need_free_and_what_to_choose(one_gigabyte):
    network = Input(4) >> Tanh(5000) >> Linear(1)
    with pytest.raises(MemoryError) as caught:
        check_training_memory(network, 10_000, Cholesky())
    message = str(caught.value)
    assert "30001 parameters on 10000 rows needs about" in message
    assert "damped system 21.6 GB" in message
    assert "1 GB are free" in message
    assert "take smaller hidden layers (one of up to " in message
    assert "choose solver='auto'" in message
    units = int(message.split("one of up to ")[1].split()[0])
    check_training_memory(Input(4) >> Tanh(units) >> Linear(1), 10_000, Cholesky())


def test_processes_add_up(one_gigabyte):
    network = Input(4) >> Tanh(300) >> Linear(1)
    check_training_memory(network, 10_000, Auto())
    with pytest.raises(MemoryError, match="lower n_jobs"):
        check_training_memory(network, 10_000, Auto(), copies=10)


def test_rows_may_be_what_is_too_many(one_gigabyte):
    with pytest.raises(MemoryError, match="no hidden layer would fit"):
        check_training_memory(Input(4) >> Tanh(3) >> Linear(1), 20_000_000, Auto())


def test_an_unknown_system_never_refuses(monkeypatch):
    monkeypatch.setattr(training_memory, "available_bytes", lambda: None)
    check_training_memory(Input(4) >> Tanh(5000) >> Linear(1), 40_000, Cholesky())


@pytest.mark.parametrize("sizes", [(10**6, 10**6), (10**9,)])
def test_the_estimator_refuses_at_once(sizes):
    tracemalloc.start()
    with pytest.raises(MemoryError, match="take smaller hidden layers"):
        LMRegressor(sizes).fit(X, X[:, 0])
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("hidden", "n_samples", "solver"),
    [
        (20, 4000, Cholesky()),
        (60, 1500, Cholesky()),
        (2000, 100, Dual()),
        (60, 500, QR()),
        (60, 500, Eigen()),
    ],
)
def test_the_estimate_is_near_the_peak(hidden, n_samples, solver):
    """Within a factor of two, beside the 64 MB of a chunk."""
    network = Input(8) >> Tanh(hidden) >> Linear(1)
    rng = np.random.default_rng(0)
    problem = NetworkProblem(network, rng.normal(size=(n_samples, 8)), rng.normal(size=n_samples), alpha=0.01)
    w = 0.1 * rng.normal(size=network.n_params)
    tracemalloc.start()
    minimize(problem, w, solver=solver, stopping=Stopping(max_iter=2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    estimate = sum(training_bytes(network.sizes, n_samples, solver).values())
    assert 0.5 * estimate < peak < 2 * estimate + 64e6


def test_a_softmax_of_many_classes_counts_the_coupling_of_its_outputs(one_gigabyte):
    check_training_memory(Input(4) >> Tanh(3) >> Logistic(200), 1000, Cholesky())
    with pytest.raises(MemoryError, match=r"coupled outputs 1.12 GB"):
        check_training_memory(Input(4) >> Tanh(3) >> Softmax(200), 1000, Cholesky())


def test_the_estimate_of_a_softmax_is_near_the_peak():
    rng = np.random.default_rng(0)
    network, n = Input(2) >> Tanh(3) >> Softmax(60), 500
    labels = np.eye(60)[rng.integers(0, 60, n)]
    problem = NetworkProblem(network, rng.normal(size=(n, 2)), labels, loss=cross_entropy)
    tracemalloc.start()
    minimize(problem, 0.1 * rng.normal(size=network.n_params), stopping=Stopping(max_iter=3))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    estimate = sum(training_bytes(network.sizes, n, Auto(), mixed_outputs=True).values())
    assert 0.7 < estimate / peak < 1.5
