"""A curve in JAX gives what its NumPy twin gives, with an exact gradient."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jax.numpy as jnp

from curve_points import DECAY, X, decay
from marquardt.curves import curve_fit, jax_curve


def test_a_curve_in_jax():
    traced = []

    def in_jax(x, a=2.0, k=1.0, c=0.0):
        traced.append(1)
        return a * jnp.exp(-k * x) + c

    curve = jax_curve(in_jax)
    assert curve.names == ("a", "k", "c") and curve.exact
    fit, twin = curve_fit(curve, X, DECAY), curve_fit("exponential_decay", X, DECAY)
    np.testing.assert_allclose(list(fit.params.values()), list(twin.params.values()), rtol=1e-9)
    np.testing.assert_allclose(fit.covariance, twin.covariance, rtol=1e-8)
    assert len(traced) <= 3  # value and gradient are compiled once
    assert jnp.ones(1).dtype == "float32"
    theta = np.array([3.0, 0.8, 0.5])
    np.testing.assert_allclose(curve.value(X, theta), decay(X, *theta), rtol=1e-14)
