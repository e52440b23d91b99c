r"""Networks that predict together: a mean, and where its uncertainty comes from.

With member m predicting f_m, the committee predicts f = mean f_m with the variance

    mean (noise_m + model_m) + mean (f_m − f)²

that of a mixture of their Gaussians.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from marquardt._types import FloatArray
from marquardt.bayesian.posterior import Posterior
from marquardt.bayesian.probit import mean_probabilities
from marquardt.models.mlp import MLP
from marquardt.predictive_noise import PredictiveNoise


@dataclass(frozen=True)
class Moments:
    """Means and variances of predictions, each (n_samples, n_outputs)."""

    mean: FloatArray
    noise: FloatArray
    """Variance of a measurement about the true value."""
    model: FloatArray
    """Variance from the uncertainty of the parameters."""
    spread: FloatArray
    """Variance between the members of a committee."""

    @property
    def variance(self) -> FloatArray:
        """Of a new measurement."""
        return self.noise + self.model + self.spread

    @property
    def std(self) -> FloatArray:
        """Standard deviation of a new measurement."""
        return np.sqrt(self.variance)


@dataclass(frozen=True)
class Member:
    """Parameters, with their posterior where there is one."""

    w: FloatArray
    """(n_params,)."""
    posterior: Posterior | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Committee:
    """Trained parameters of one network, one set or several, best first.

    Examples
    --------
    >>> from marquardt import Input, Linear
    >>> one, other = Member(np.array([1.0, 0.0])), Member(np.array([3.0, 0.0]))
    >>> Committee(Input(1) >> Linear(1), (one, other)).predict(np.array([[2.0]]))
    array([[4.]])
    """

    network: MLP
    members: tuple[Member, ...]
    noise: PredictiveNoise | None = None
    """None takes that of the posteriors, one variance for all rows."""

    @classmethod
    def of(cls, network: MLP, parameters: Sequence[FloatArray]) -> Committee:
        """Without posteriors."""
        return cls(network, tuple(Member(w) for w in parameters))

    def __len__(self) -> int:
        return len(self.members)

    @property
    def has_posterior(self) -> bool:
        """Whether every member has one, so that `moments` can be asked for."""
        return all(member.posterior is not None for member in self.members)

    def predict(self, X: ArrayLike) -> FloatArray:
        """Mean of the outputs (n_samples, n_outputs) at X (n_samples, n_inputs)."""
        outputs = self._outputs(X)
        return outputs[0] if len(outputs) == 1 else np.mean(outputs, axis=0)

    def probabilities(self, X: ArrayLike) -> FloatArray:
        """Of classes or labels (n_samples, n_outputs): each member's averaged over its posterior where it has
        one, then their mean."""
        shares = [
            self.network.predict(member.w, X)
            if member.posterior is None
            else mean_probabilities(member.posterior, X)
            for member in self.members
        ]
        return shares[0] if len(shares) == 1 else np.mean(shares, axis=0)

    def moments(self, X: ArrayLike) -> Moments:
        """Mean and variances at X (n_samples, n_inputs).

        Raises
        ------
        ValueError
            When a member has no posterior.
        """
        posteriors = [member.posterior for member in self.members if member.posterior is not None]
        if len(posteriors) < len(self.members):
            raise ValueError("a member has no posterior, so its predictions have no variance")
        outputs = self._outputs(X)
        mean = np.mean(outputs, axis=0)
        own = float(np.mean([posterior.noise_variance for posterior in posteriors]))
        noise = np.full_like(mean, own) if self.noise is None else self.noise.variance(X, mean)
        model = np.mean([posterior.predictive_variance(X) for posterior in posteriors], axis=0)
        return Moments(mean, noise, model, np.var(outputs, axis=0))

    def draw_functions(self, X: ArrayLike, n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Functions at X, (n_draws, n_samples, n_outputs), each of a member in turn: as a mixture they have
        the variance `model + spread` of `moments`, up to the chance of the draws.

        Raises
        ------
        ValueError
            When a member has no posterior, and is alone.
        """
        if len(self) == 1 and not self.has_posterior:
            raise ValueError("a single network without posterior gives one function, so nothing to draw")
        turns = np.arange(n_draws) % len(self)
        drawn = np.empty((n_draws, len(np.asarray(X)), self.network.n_outputs))
        for k, member in enumerate(self.members):
            own = int((turns == k).sum())
            drawn[turns == k] = (
                self.network.predict(member.w, X)
                if member.posterior is None
                else member.posterior.draw_functions(X, own, rng)
            )
        return drawn

    def _outputs(self, X: ArrayLike) -> list[FloatArray]:
        return [self.network.predict(member.w, X) for member in self.members]
