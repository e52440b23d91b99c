"""How much memory a training will need, asked before anything is allocated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from marquardt._memory import available_bytes, readable
from marquardt.linsolve import QR, Auto, Cholesky, Dual, Eigen, Iterative, LinearSolver, MixedCholesky
from marquardt.linsolve.auto import iterative_bytes
from marquardt.models.layers import Softmax
from marquardt.models.mlp import MLP

_SMALL = 100e6
"""Bytes below which nobody asks the system how much is free."""

_SYSTEM: dict[type, Callable[[int, int], float]] = {
    Cholesky: lambda n, p: 24.0 * p**2,
    MixedCholesky: lambda n, p: 24.0 * p**2,
    Eigen: lambda n, p: 32.0 * p**2,
    QR: lambda n, p: 24.0 * n * p + 40.0 * p**2,
    Dual: lambda n, p: 24.0 * n**2,
    Iterative: iterative_bytes,
    Auto: lambda n, p: min(24.0 * min(n, p) ** 2, iterative_bytes(n, p)),
}
"""Bytes of the damped system, for n residuals and p parameters."""


def training_bytes(
    sizes: Sequence[int], n_samples: int, solver: LinearSolver, mixed_outputs: bool = False
) -> dict[str, float]:
    """About how many bytes the training of a network takes at its peak, by what they are for.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer, inputs first.
    n_samples : int
    solver : LinearSolver
        A kind that is not ours counts nothing for its system.
    mixed_outputs : bool
        Whether the outputs are a softmax: the curvature of its loss couples every two of them.

    Examples
    --------
    >>> need = training_bytes((8, 20, 1), 768, Cholesky())
    >>> need["damped system"]
    969624.0
    """
    p = sum(n_out * (n_in + 1) for n_in, n_out in pairwise(sizes))
    hidden, n_outputs = sum(sizes[1:-1]), sizes[-1]
    # per hidden unit and sample: arguments and values at the point and at the trial point, slopes,
    # sensitivities, the second derivative, and temporaries (measured: 12 to 14 for one output)
    units = (12 + 2 * n_outputs) * hidden + 6 * n_outputs + 4 * sizes[0]
    system = _SYSTEM.get(type(solver))
    curvature = {"coupled outputs": 8.0 * 3.5 * n_samples * n_outputs**2} if mixed_outputs else {}  # measured
    return {
        "parameters and steps": 8.0 * 12 * p,
        "activations": 8.0 * n_samples * units,
        "damped system": 0.0 if system is None else system(n_samples * n_outputs, p),
        **curvature,
    }


def check_training_memory(network: MLP, n_samples: int, solver: LinearSolver, copies: int = 1) -> None:
    """Refuse a training that will not fit into memory.

    Parameters
    ----------
    copies : int
        Trainings at the same time.

    Raises
    ------
    MemoryError
        The message says what is needed, what is free, and what to choose instead.
    """
    mixed = isinstance(network.layers[-1], Softmax)
    parts = training_bytes(network.sizes, n_samples, solver, mixed)
    need = copies * sum(parts.values())
    free = available_bytes() if need > _SMALL else None
    if free is None or need <= free:
        return
    shares = ", ".join(f"{name} {readable(copies * size)}" for name, size in parts.items())
    advice = [_smaller_network(network, n_samples, solver, free / copies), "train on fewer rows"]
    if copies > 1:
        advice.append("lower n_jobs")
    if training_bytes(network.sizes, n_samples, Auto())["damped system"] < 0.5 * parts["damped system"]:
        advice.append("choose solver='auto'")
    raise MemoryError(
        f"a network of {network.n_params} parameters on {n_samples} rows needs about {readable(need)} "
        f"({shares}), and {readable(free)} are free: {'; or '.join(advice)}"
    )


def _smaller_network(network: MLP, n_samples: int, solver: LinearSolver, free: float) -> str:
    """How many units would fit, as advice."""

    mixed = isinstance(network.layers[-1], Softmax)

    def fits(units: int) -> bool:
        sizes = (network.n_inputs, units, network.n_outputs)
        return sum(training_bytes(sizes, n_samples, solver, mixed).values()) <= free

    low, high = 0, sum(network.sizes[1:-1]) + 1  # fits(low) is taken for granted, fits(high) is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    if low == 0:
        return "no hidden layer would fit: use a machine with more memory"
    units = low if low < 100 else int(float(f"{low:.1e}") * 0.9)
    return f"take smaller hidden layers (one of up to {units} units fits)"
