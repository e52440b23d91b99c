"""Standardizing columns of any size."""

from __future__ import annotations

import numpy as np
import pytest

from marquardt.estimators.scaling import Scaler

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [1e-300, 1e-150, 1e-12, 1.0, 1e12, 1e150, 1e300])
@pytest.mark.parametrize("offset", [0.0, 3.0, -100.0])
def test_every_size_is_standardized(size, offset):
    values = (RNG.normal(size=(50, 2)) + offset) * size
    z = Scaler.standard(values).transform(values)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-12)


def test_the_inverse_gives_the_values_back():
    values = RNG.normal(size=(20, 3)) * [1e-9, 1.0, 1e9] + [1.0, 2.0, 3.0]
    scaler = Scaler.standard(values)
    np.testing.assert_allclose(scaler.inverse(scaler.transform(values)), values, rtol=1e-13)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e-200, 1e12 + 0.1, 1e308])
def test_a_constant_column_is_only_shifted_and_exactly_zero(value):
    scaler = Scaler.standard(np.full((7, 1), value))
    assert scaler.scale.tolist() == [1.0]
    assert scaler.offset.tolist() == [value]
    assert not scaler.transform(np.full((7, 1), value)).any()


def test_rounding_noise_is_no_spread_but_a_small_true_spread_is():
    noise = np.array([[0.3], [0.1 + 0.2]])
    assert Scaler.standard(noise).scale.tolist() == [1.0]
    true = 1e6 + 1e-3 * np.arange(5.0)[:, None]
    assert Scaler.standard(true).scale[0] == pytest.approx(1e-3 * np.std(np.arange(5.0)), rel=1e-6)


def test_the_whole_range_of_floats_fits():
    z = Scaler.standard(np.array([[-1.7e308], [1.7e308]])).transform(np.array([[-1.7e308], [1.7e308]]))
    np.testing.assert_allclose(z, [[-1.0], [1.0]])


def test_weights_are_repeated_rows():
    values, weights = RNG.normal(size=(6, 2)), np.array([1.0, 2.0, 3.0, 1.0, 1.0, 4.0])
    weighted, repeated = (
        Scaler.standard(values, weights),
        Scaler.standard(values.repeat(weights.astype(int), axis=0)),
    )
    np.testing.assert_allclose(weighted.offset, repeated.offset, rtol=1e-14)
    np.testing.assert_allclose(weighted.scale, repeated.scale, rtol=1e-14)


@pytest.mark.parametrize("size", [1e-290, 1e-12, 1.0, 1e12, 1e290])
def test_robust_scaling_does_not_see_gross_errors(size):
    values = np.random.default_rng(1).normal(size=(4001, 2)) * [1.0, 5.0] + [3.0, -40.0]
    clean = Scaler.robust(values * size)
    np.testing.assert_allclose(clean.offset / size, [3, -40], atol=0.2)
    np.testing.assert_allclose(clean.scale / size, [1, 5], rtol=0.05)
    values[:200] += 1e6
    gross = Scaler.robust(values * size)
    np.testing.assert_allclose(gross.scale, clean.scale, rtol=0.1)
    assert (np.abs(gross.offset - clean.offset) < 0.15 * clean.scale).all()


def test_robust_scaling_counts_weights_as_rows_and_gaps_nowhere():
    values, weights = RNG.normal(size=(6, 2)), np.array([1.0, 2.0, 3.0, 1.0, 1.0, 4.0])
    holed = values.copy()
    holed[3, 1] = np.nan
    weighted = Scaler.robust(holed, weights)
    repeated = values.repeat(weights.astype(int), axis=0)
    for k, column in enumerate((repeated[:, :1], np.delete(repeated, 6, axis=0)[:, 1:])):
        one = Scaler.robust(column)
        assert weighted.offset[k] == pytest.approx(one.offset[0], rel=1e-12)
        assert weighted.scale[k] == pytest.approx(one.scale[0], rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e-200, 1e308])
def test_robust_scaling_of_a_constant(value):
    scaler = Scaler.robust(np.full((7, 1), value))
    assert (scaler.offset.tolist(), scaler.scale.tolist()) == ([value], [1.0])


def test_identity_changes_nothing():
    values = RNG.normal(size=(4, 2))
    assert np.array_equal(Scaler.identity(2).transform(values), values)
