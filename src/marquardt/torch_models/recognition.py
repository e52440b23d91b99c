"""Whether a module is a multilayer perceptron, which the network in NumPy trains faster.

Read off the graph of the module, then tried on some samples: outputs and derivatives by PyTorch and by NumPy.
"""

from __future__ import annotations

import numpy as np

from marquardt._types import FloatArray
from marquardt.dense_model import DenseModel, DenseProblem, agree
from marquardt.torch_models.dense_graph import dense_model
from marquardt.torch_models.module_on_data import ModuleOnData
from marquardt.torch_models.module_problem import ModuleProblem
from marquardt.torch_models.samples import Samples

_TRIED = 64
"""Samples on which a module is tried out."""
_PLACES = 3
"""Parameters at which it is tried out: the start and two others near it."""


def recognized(problem: ModuleProblem, w0: FloatArray) -> DenseProblem | None:
    """The training by the network that the module of a problem is, as it is seen near w0; None for another
    module, on an accelerator, and where the network would not do."""
    model = problem.model
    X = _table(model.samples)
    if X is None or not model.on_host or not model.function.by_sample:
        return None
    found = dense_model(model.function.module, model.function.layout)
    if found is None or found.network.n_inputs != X.shape[1] or not _agrees(found, model, w0):
        return None
    return on_network(found, problem)


def on_network(model: DenseModel, problem: ModuleProblem) -> DenseProblem | None:
    """The training of a problem by the network that its module is; None where that would not do."""
    X, targets = _table(problem.model.samples), problem.targets
    if X is None:
        return None
    return model.problem(X, targets.values, targets.weights, problem.prior, targets.loss)


def _table(samples: Samples) -> FloatArray | None:
    """X (N, d), where that is all that a module is called with."""
    args, kwargs = samples.call
    tables = [*args, *kwargs.values()]
    if len(tables) != 1 or tables[0].dim() != 2 or not tables[0].is_floating_point():
        return None
    return tables[0].cpu().numpy()


def _agrees(found: DenseModel, model: ModuleOnData, w0: FloatArray) -> bool:
    """Whether outputs and their derivatives are the same at the start and near it."""
    n = model.n_samples
    few = model.samples.some(np.linspace(0, n - 1, min(_TRIED, n)).astype(int))
    X = _table(few)
    if X is None or not np.isfinite(found.inputs(X)).all():
        return False
    part = ModuleOnData(model.function, few, model.n_outputs, model.device)
    rng = np.random.default_rng(0)
    for place in range(_PLACES):
        w = w0 if place == 0 else w0 + 0.1 * rng.normal(size=w0.shape)
        z = part.outputs(w)
        u = rng.normal(size=z.shape)
        own, _ = found.outputs_along(w, w, X)
        if not (agree(own, z) and agree(found.pulled(w, u, X), part.pull(w, u))):
            return False
    return True
