"""How a table is fitted: the options of the command, checked together."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_ALPHA = 0.01


@dataclass(frozen=True)
class FitOptions:
    """How to fit a table; the defaults are those of the command.

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    activation : str
        Of the hidden layers, as in `LMRegressor`.
    test_fraction : float
        Share of the rows held out for the scores, 0 for none.
    seed : int
        Of the split and of the starts.
    starts : int
        Fits from so many random starts; the best is kept.
    jobs : int
        Processes for the starts; -1 takes every core.
    max_iter : int
    early_stopping : bool
        Stop where a tenth of the training rows, set aside, is fitted best.
    bayesian : bool or None
        Find the weight penalty and the noise from the training rows, with error bars; None: unless `alpha` or
        `early_stopping` is given.
    alpha : float or None
        Weight penalty: ½ alpha |w|² is added to the cost (scaled units).
    committee : int
        So many of the starts, best first, predict together.
    loss : str
        As in `LMRegressor`: "squared_error", or a robust one for targets with gross errors.
    varying_noise : bool
        A second network for the noise of each row.
    growing_rows : bool or None
        Begin on a part of the rows, which grows; None: where `LMRegressor` finds that it pays.
    drop, categorical : tuple of str
        Columns to leave out, and columns of numbers that are codes.
    units : tuple of str
        Of the targets, for the report.
    """

    hidden: tuple[int, ...] = (20,)
    activation: str = "tanh"
    test_fraction: float = 0.2
    seed: int = 0
    starts: int = 4
    jobs: int = 1
    max_iter: int = 1000
    early_stopping: bool = False
    bayesian: bool | None = None
    alpha: float | None = None
    committee: int = 1
    loss: str = "squared_error"
    varying_noise: bool = False
    growing_rows: bool | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.test_fraction < 1.0:
            raise ValueError(f"--test-fraction {self.test_fraction} must be at least 0 and below 1, e.g. 0.2")
        if self.alpha is not None and not 0.0 <= self.alpha < float("inf"):
            raise ValueError(f"--alpha {self.alpha} must be a number of at least 0, e.g. 0.01")
        if self.bayesian and self.alpha is not None:
            raise ValueError(f"--bayesian finds the penalty itself: leave out --alpha {self.alpha}")
        if self.bayesian and self.loss != "squared_error":
            raise ValueError(f"--bayesian is for a squared error: leave out --loss {self.loss}")
        if self.varying_noise and self.regularization == "l2":
            raise ValueError("--varying-noise is for a Bayesian fit: leave out --alpha, --loss and the like")
        if self.bayesian and self.early_stopping:
            raise ValueError("--bayesian needs no rows set aside: leave out --early-stopping")
        if self.growing_rows and self.loss != "squared_error":
            raise ValueError(f"--growing-rows is for a squared error: leave out --loss {self.loss}")
        if self.jobs == 0:
            raise ValueError("--jobs 0 would do nothing: give a number of processes, or -1 for every core")
        for option, value, least in (
            ("--starts", self.starts, 1),
            ("--committee", self.committee, 1),
            ("--max-iter", self.max_iter, 1),
            ("--seed", self.seed, 0),
        ):
            if value < least:
                raise ValueError(f"{option} {value} must be a whole number of at least {least}")
        if self.committee > self.starts:
            raise ValueError(
                f"--committee {self.committee} of --starts {self.starts}: raise --starts, to about twice that"
            )

    def as_text(self) -> dict[str, str]:
        """What the report says of them."""
        said = {"seed": str(self.seed)}
        if self.regularization == "l2":
            said["alpha"] = f"{DEFAULT_ALPHA if self.alpha is None else self.alpha:g}"
        else:
            said["regularization"] = "Bayesian"
        if self.early_stopping:
            said["early stopping"] = "on"
        if self.loss != "squared_error":
            said["loss"] = self.loss
        if self.varying_noise:
            said["noise"] = "varying"
        if self.growing_rows is not None:
            said["growing rows"] = "on" if self.growing_rows else "off"
        return said

    @property
    def regularization(self) -> str:
        """The name of `LMRegressor`'s parameter."""
        if self.bayesian is not None:
            return "bayesian" if self.bayesian else "l2"
        another = self.alpha is not None or self.early_stopping or self.loss != "squared_error"
        return "l2" if another else "bayesian"
