"""`fit_module`: train a PyTorch module on samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from marquardt._types import FloatArray
from marquardt.blas_threads import one_thread_if_small
from marquardt.dense_model import DenseProblem
from marquardt.lm import minimize
from marquardt.losses import LossOf, squared_error
from marquardt.models.mlp import MLP
from marquardt.result import Result, Status
from marquardt.run_outcome import RunOutcome
from marquardt.torch_models.device import device_of
from marquardt.torch_models.device_cholesky import DeviceCholesky
from marquardt.torch_models.module_checks import influence_notes, input_notes, start_notes
from marquardt.torch_models.module_problem import ModuleProblem
from marquardt.torch_models.parameter_layout import ParameterLayout
from marquardt.torch_models.problem_from_module import check_second_order, problem_from_module
from marquardt.torch_models.recognition import on_network, recognized
from marquardt.torch_models.samples import from_loader
from marquardt.torch_models.warm_up import WarmUp


@dataclass(frozen=True)
class ModuleFit(RunOutcome):
    """A module fitted by `fit_module`."""

    module: nn.Module
    """The module that was given, now with the fitted parameters."""
    result: Result
    """The run; its `w` are the trained parameters in float64."""
    notes: tuple[str, ...]
    """What the user should know: parameters without influence, memory, precision."""
    problem: ModuleProblem = field(repr=False)
    """The module on its samples."""
    layout: ParameterLayout = field(repr=False)
    network: MLP | None = None
    """What the module was recognised as, and trained by; None for a module that PyTorch computed."""


@torch.inference_mode(False)  # whose tensors could not be differentiated
def fit_module(
    module: nn.Module,
    X: Any,
    y: Any = None,
    *,
    loss: LossOf | nn.Module = squared_error,
    sample_weight: Any = None,
    alpha: float | Mapping[str, float] = 0.0,
    warm_up: WarmUp | None = None,
    validation_data: tuple[Any, Any] | DataLoader[Any] | None = None,
    structured: bool = True,
    **options: Any,
) -> ModuleFit:
    """Train a PyTorch module by Levenberg-Marquardt, in float64, whatever the precision of the module.

    The module is computed where it is, CPU or CUDA; its parameters are written once, at the end, each in its
    own precision.  The output for a sample must depend on that sample only.

    Parameters
    ----------
    module : torch.nn.Module
        What has ``requires_grad=False`` is not trained.
    X : tensor, tuple or dict of tensors, or DataLoader
        ``module(X)``, ``module(*X)`` or ``module(**X)``, one row a sample.  Of a DataLoader one epoch is
        read into memory: batches ``(inputs, y)``, ``(first, second, y)``, or dicts, where ``y="name"`` names
        the target.
    y : tensor (n_samples, ...)
        In the shape of the module's outputs; class labels, or one-hot rows, for `cross_entropy`.
    loss : callable or torch.nn.Module
        `squared_error`, `cross_entropy` (the module returns logits) or another of `marquardt.losses`; their
        equals of torch.nn; or `ModuleLoss(function)`.
    sample_weight : tensor (n_samples,) or in the shape of y, optional
    alpha : float or mapping
        Prior precision S₀: a number for all parameters with two axes and more (weights, not biases), or
        numbers by name, ``{"head": 0.1}``.
    warm_up : WarmUp, optional
        First-order steps before.
    validation_data : (X, y) or DataLoader, optional
        Held-out samples: the parameters that are best on them are returned, and `Stopping.max_fail`
        iterations without improvement end the run.
    structured : bool
        Whether a module that is a multilayer perceptron may be trained by the network in NumPy: the same
        steps in less time.  False leaves every module to PyTorch.
    **options
        As in `minimize`: stopping, damping, metric, solver, search, resolve_output, callback; `acceleration`
        is by default on for modules made of linear layers only.

    Returns
    -------
    ModuleFit

    Raises
    ------
    TypeError, ValueError
        For a module, data or parameters that cannot be fitted; the message names what and why.

    Examples
    --------
    >>> line = nn.Linear(1, 1)
    >>> fitted = fit_module(line, torch.arange(4.0)[:, None], torch.tensor([1.0, 3.0, 5.0, 7.0]))
    >>> round(line.weight.item(), 5), round(line.bias.item(), 5)
    (2.0, 1.0)
    """
    given, module = module, getattr(module, "_orig_mod", module)  # of torch.compile
    device_of(module)
    layout = ParameterLayout(module)
    if isinstance(validation_data, DataLoader):
        validation_data = from_loader(validation_data, y)
    if isinstance(X, DataLoader):
        if sample_weight is not None:
            raise ValueError("sample_weight with a DataLoader, which may shuffle: give X and y as tensors")
        X, y = from_loader(X, y)
    if y is None:
        raise ValueError("y is missing: give targets, or X as a DataLoader that holds them")
    problem, notes = problem_from_module(module, layout, X, y, sample_weight, loss, alpha)
    w0 = layout.pack()
    w0.flags.writeable = False
    dense = recognized(problem, w0) if structured else None
    known: ModuleProblem | DenseProblem = problem if dense is None else dense
    z = known.outputs(w0)
    notes += start_notes(z)
    if validation_data is not None:
        held_out, _ = problem_from_module(module, layout, *validation_data, None, loss, 0.0)
        options["validation"] = ((dense and on_network(dense.model, held_out)) or held_out).cost
    if np.isfinite(z).all():
        problem.find_structure(w0)
    # Elsewhere z̈ costs as much as the Jacobian: without it a CNN reaches the same loss in half the time
    # (`benchmarks/torch_models.py`: digits, and images of 8 x 8).
    if options.setdefault("acceleration", problem.layers is not None) and dense is None:
        notes += check_second_order(problem, w0)
    w = w0 if warm_up is None else warm_up.run(known, w0)
    wide = problem.n_residuals < problem.n_params  # then the dual, on the host
    if options.get("solver") is None and not (problem.model.on_host or wide):
        options["solver"] = DeviceCholesky()
    with one_thread_if_small(problem.n_params):
        result = minimize(problem, w, **options) if dense is None else dense.minimize(w, **options)
    if result.linearization is not None and result.status is not Status.NO_FINITE_START:
        notes += influence_notes(layout, result.linearization.jacobian.column_sqnorms())
        notes += input_notes(known.outputs(result.w), problem.model.samples.differ())
    notes = list(dict.fromkeys([*notes, *_write(layout, known, w0, result), *problem.notes]))
    network = None if dense is None else dense.model.network
    return ModuleFit(given, result, tuple(notes), problem, layout, network)


def _write(
    layout: ParameterLayout, problem: ModuleProblem | DenseProblem, w0: FloatArray, result: Result
) -> list[str]:
    """Hand the parameters to the module, unless rounding to its precision would lose the gain."""
    if result.status is Status.NO_FINITE_START:
        return []
    with np.errstate(all="ignore"):
        rounded, start = problem.cost(layout.rounded(result.w)), problem.cost(w0)
    if rounded > start and result.cost <= start:
        return ["rounding to the module's own precision lost more than was gained: it is as given"]
    layout.write(result.w)
    if rounded <= 1.01 * result.cost:
        return []
    return [
        f"in the module's own precision the cost is {rounded:.3g}, not {result.cost:.3g}: module.double() "
        "before the fit keeps the difference"
    ]
