"""The examples of sequences run, and say what they should."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_narx(tmp_path, monkeypatch, capsys):
    picture = tmp_path / "narx.png"
    monkeypatch.setattr(sys, "argv", ["narx.py", str(picture)])
    runpy.run_path(str(EXAMPLES / "narx.py"), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    simulated = {line.split("-")[0]: float(line.split()[-1]) for line in printed if "-loop training" in line}
    assert simulated["closed"] > 0.99 > 0.95 > simulated["open"]
    assert picture.stat().st_size > 10_000


def test_recurrent_network_in_jax(capsys):
    jax = pytest.importorskip("jax")
    pytest.importorskip("equinox")
    example = runpy.run_path(str(EXAMPLES / "recurrent_jax.py"))
    assert example["main"](units=3, max_iter=20) < 0.2
    printed = capsys.readouterr().out
    assert "|g| from" in printed and "Through time at the end" in printed
    model = example["Recurrent"](3, jax.random.key(0))
    norms = example["through_time"](model, np.ones((4, 6, 1), dtype=np.float32))
    assert len(norms) == 6
    assert float(norms[0]) == pytest.approx(float(np.linalg.norm(model.head.weight)), rel=1e-5)


@pytest.fixture
def one_thread():
    """Of torch: on a busy machine its threads wait for one another."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_recurrent_network_in_torch(capsys, one_thread):
    torch = pytest.importorskip("torch")
    example = runpy.run_path(str(EXAMPLES / "recurrent_torch.py"))
    assert example["main"](units=3, max_iter=20) < 0.2
    printed = capsys.readouterr().out
    assert "|g| from" in printed and "Through time at the end" in printed
    module = example["Recurrent"](3).double()
    X = torch.rand(4, 6, 1, dtype=torch.float64)
    norms = example["through_time"](module, X)
    assert norms[0] == pytest.approx(module.head.weight.norm().item(), rel=1e-12)

    # ∂ŷ/∂(state 2 steps before), by differences
    def last(change):
        state = module.gru(X[:1, :4])[1] + change
        return module.head(module.gru(X[:1, 4:], state)[1][0])

    slopes = [
        (last(1e-6 * unit) - last(-1e-6 * unit)).item() / 2e-6 for unit in torch.eye(3, dtype=torch.float64)
    ]
    assert example["through_time"](module, X[:1])[2] == pytest.approx(np.linalg.norm(slopes), rel=1e-6)
