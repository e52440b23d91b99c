"""A small fitted table model made by hand, for the tests of files, reports and plots."""

from __future__ import annotations

import numpy as np
import pandas as pd

from marquardt import Input, Linear, NetworkProblem, Stopping, Tanh, minimize
from marquardt.committee import Committee
from marquardt.estimators.fitted_network import FittedNetwork
from marquardt.estimators.scaling import Scaler
from marquardt.tables.encoder import TableEncoder
from marquardt.tables.fit_record import ColumnEffect, FitRecord, Outcome
from marquardt.tables.model import TableModel


def small_table(n_samples: int = 60) -> pd.DataFrame:
    """Two numeric columns, a categorical one, a constant one, a gap, and a smooth target."""
    rng = np.random.default_rng(0)
    dose, time = rng.uniform(0, 2, n_samples), rng.uniform(0, 1, n_samples)
    salt = rng.choice(["HCl", "Na", "K"], n_samples)
    answer = 3 * dose + np.sin(3 * time) + (salt == "Na") + 0.05 * rng.normal(size=n_samples)
    table = pd.DataFrame({"dose": dose, "time_hours": time, "salt": salt, "unit": "mg", "answer": answer})
    table.loc[3, "dose"] = np.nan
    return table


def small_model(held_out: bool = True, n_targets: int = 1, validation: bool = False) -> TableModel:
    """A model of `small_table`, trained for a few iterations."""
    table = small_table()
    inputs = table.drop(columns="answer")
    encoder = TableEncoder.fit(inputs)
    X, notes = encoder.encode(inputs)
    names = ("answer", "minus")[:n_targets]
    y = np.column_stack([table["answer"], -table["answer"]])[:, :n_targets]
    net = Input(X.shape[1]) >> Tanh(4) >> Linear(n_targets)
    x_offset, x_scale, y_offset, y_scale = X.mean(0), X.std(0), y.mean(0), y.std(0)
    problem = NetworkProblem(net, (X - x_offset) / x_scale, (y - y_offset) / y_scale)
    start = 0.3 * np.random.default_rng(1).normal(size=net.n_params)
    result = minimize(
        problem, start, stopping=Stopping(max_iter=15), validation=problem.cost if validation else None
    )
    network = FittedNetwork(
        Committee.of(net, [result.w]), Scaler(x_offset, x_scale), Scaler(y_offset, y_scale)
    )
    prediction = network.predict(X)
    effects = (
        ColumnEffect("dose", 1.21, 0.08, "0.2", "1.8", (4.8, -4.8)[:n_targets]),
        ColumnEffect("time_hours", 0.11, 0.02, "0.1", "0.9", (0.3, -0.3)[:n_targets]),
        ColumnEffect("salt", 0.0001, 0.002, "HCl", "Na", (1.0, -1.0)[:n_targets]),
    )
    record = FitRecord(
        source="small.csv",
        targets=names,
        units=("mg/L", "")[:n_targets],
        n_columns=3,
        n_features=X.shape[1],
        notes=(*encoder.decisions(), *notes),
        network=network.describe(),
        n_params=net.n_params,
        settings={"seed": "0", "alpha": "0"},
        status=result.status.name,
        success=result.success,
        message=result.message,
        seconds=0.25,
        train=Outcome(y[:45], prediction[:45]),
        held_out=Outcome(y[45:], prediction[45:]) if held_out else None,
        effects=effects,
        history=result.history,
        version="0.1.0",
        created="2026-01-02T03:04:05+00:00",
    )
    return TableModel(encoder, network, record)
