"""Differential equations by networks: derivatives, groups, weights, and solutions against closed forms."""

import copy
import pickle
import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("jax")
import jax
import jax.numpy as jnp

import marquardt
from marquardt import QR, LMRegressor, Status, load
from marquardt.apps.pinn import (
    PDE,
    Balanced,
    Boundary,
    Box,
    Causal,
    Conservation,
    Data,
    Dense,
    Grid,
    Interior,
    LatinHypercube,
    Periodic,
    Point,
    Renewal,
    ResidualAdaptive,
    Sobol,
    Solution,
    Uniform,
    initial,
    solve,
    training,
)
from marquardt.apps.pinn.coefficients import gains
from marquardt.apps.pinn.field_model import FieldModel
from marquardt.apps.pinn.problems import (
    PROBLEMS,
    ClosedForm,
    allen_cahn_reference,
    burgers_reference,
)
from marquardt.apps.pinn.samples import Samples
from marquardt.apps.pinn.weighting import GroupState
from marquardt.files import ModelFileError
from marquardt.jax_models import double_precision, fit_groups

SQUARE = Box.of(x=(0, 1), t=(0, 2))


class Known:
    """A "network" that is a known function, so that residuals have closed forms."""

    def __init__(self, function):
        self.function = function

    def start(self, box, n_fields, rng):
        return {"amplitude": 1.0}

    def value(self, params, x, box):
        return params["amplitude"] * jnp.atleast_1d(self.function(*x))


def residual(group, function, box=SQUARE, fields=("u",)):
    """r (n, k) of a group where the fields are a known function."""
    pde = PDE(box, [group], fields=fields)
    model = pde.model(Known(function))
    samples = Samples(pde, model)
    params = model.start({}, np.random.default_rng(0))
    name = next(iter(samples.places))
    return samples.residual(name, params), samples.places[name]


# -- the point ---------------------------------------------------------------------------------------

X, T = 0.7, 1.3
DERIVATIVES = {
    "u": np.sin(2 * X) * np.exp(T),
    "u_x": 2 * np.cos(2 * X) * np.exp(T),
    "u_t": np.sin(2 * X) * np.exp(T),
    "u_xx": -4 * np.sin(2 * X) * np.exp(T),
    "u_xt": 2 * np.cos(2 * X) * np.exp(T),
    "u_tx": 2 * np.cos(2 * X) * np.exp(T),
    "u_xxx": -8 * np.cos(2 * X) * np.exp(T),
    "u_xxxx": 16 * np.sin(2 * X) * np.exp(T),
    "u_" + "x" * 6: -64 * np.sin(2 * X) * np.exp(T),
    "u_" + "x" * 7: -128 * np.cos(2 * X) * np.exp(T),
    "u_xxt": -4 * np.sin(2 * X) * np.exp(T),
    "u_tttt": np.sin(2 * X) * np.exp(T),
    "v_xx": 2 * T,
    "v_tt": 0.0,
    "x": X,
    "nu": 3.0,
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_by_name(name):
    def by_name(place):
        at = Point(
            lambda p: jnp.stack([jnp.sin(2 * p[0]) * jnp.exp(p[1]), p[0] ** 2 * p[1]]),
            ("x", "t"),
            ("u", "v"),
            place,
            {"nu": 3.0},
        )
        return getattr(at, name)

    with double_precision():  # compiled as a whole, as in a fit; else every operation by itself
        found = float(jax.jit(by_name)(jnp.array([X, T])))
    assert found == pytest.approx(DERIVATIVES[name], rel=1e-12, abs=1e-12)


def test_coordinates_with_numbers_in_their_names():
    with double_precision():
        at = Point(
            lambda p: jnp.atleast_1d(p[0] ** 3 * p[1] ** 2), ("x1", "x2"), ("u",), jnp.array([2.0, 3.0])
        )
        assert float(at.u_x1x1) == 6 * 2 * 9 and float(at.u_x1x2) == 3 * 4 * 2 * 3
        assert float(at.laplacian()) == 6 * 2 * 9 + 2 * 8 and float(at.laplacian("u", ("x2",))) == 2 * 8


def test_the_laplacian_leaves_out_the_time_and_knows_its_names():
    with double_precision():
        at = Point(lambda p: jnp.atleast_1d(p[0] ** 3 + p[1] ** 3), ("x", "t"), ("u",), jnp.array([2.0, 3.0]))
        assert float(at.laplacian()) == 12 and float(at.laplacian("u", ("x", "t"))) == 12 + 18
        for wrong in (("w", None), ("u", ("z",))):
            with pytest.raises(AttributeError, match="at a point; there are coordinates x, t"):
                at.laplacian(*wrong)


@pytest.mark.parametrize("name", ["w", "u_z", "w_x", "u_"])
def test_a_name_that_is_not_there(name):
    at = Point(lambda p: p[:1], ("x", "t"), ("u",), jnp.zeros(2))
    if name == "u_":
        assert at.u_ == at.u
    else:
        with pytest.raises(AttributeError, match="coordinates x, t; fields u; derivatives such as u_x"):
            getattr(at, name)


# -- places ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampling", [Uniform(), LatinHypercube(), Sobol(), Grid(), ResidualAdaptive()], ids=repr
)
@pytest.mark.parametrize(("n", "dimension"), [(1, 1), (49, 2), (100, 1), (64, 3)])
def test_points_are_in_the_cube_and_as_many_as_asked(sampling, n, dimension):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = sampling.unit(n, dimension, np.random.default_rng(0))
    assert points.shape == (n, dimension)
    assert (points >= 0).all() and (points <= 1).all()


def test_adaptive_sampling_prefers_large_residuals_and_draws_no_point_twice():
    sizes = np.array([1.0] * 900 + [50.0] * 100)
    chosen = ResidualAdaptive().chosen(sizes, 200, np.random.default_rng(0))
    assert len(set(chosen)) == 200 and (chosen >= 900).mean() > 0.3
    assert len(ResidualAdaptive().chosen(np.zeros(50), 20, np.random.default_rng(0))) == 20


# -- groups ------------------------------------------------------------------------------------------


def test_the_equation_at_a_solution_is_zero():
    r, places = residual(Interior(lambda at: at.u_t - at.u_xx, n=50), lambda x, t: jnp.exp(-t) * jnp.sin(x))
    assert np.abs(r).max() < 1e-14 and places.shape == (50, 2)


def test_a_system_of_fields():
    group = Interior(lambda at: (at.u_x - at.v_t, at.u_t), n=5)
    r, _ = residual(group, lambda x, t: jnp.stack([x**2, 2 * x * t]), fields=("u", "v"))
    np.testing.assert_allclose(r, 0.0, atol=1e-14)


def test_boundary_points_lie_on_their_faces():
    r, places = residual(Boundary(lambda at: at.u - at.x, ("x_min", "t_max"), n=11), lambda x, t: x)
    assert np.abs(r).max() == 0 and len(places) == 11
    assert ((places[:, 0] == 0) | (places[:, 1] == 2)).all() and (places[:, 0] == 0).sum() == 6
    _, places = residual(initial(lambda at: at.u, n=7), lambda x, t: x)
    assert (places[:, 1] == 0).all()
    _, places = residual(Boundary(lambda at: at.u, n=8), lambda x, t: x)
    assert ((places == SQUARE.lower) | (places == SQUARE.upper)).any(axis=1).all()


def test_the_boundary_of_an_interval_is_its_two_ends():
    _, places = residual(Boundary(lambda at: at.u, n=2), lambda x: x, Box.of(x=(1, 3)))
    assert places.ravel().tolist() == [1, 3]


def test_periodic_compares_the_ends():
    r, _ = residual(Periodic("x", order=1, n=4), lambda x, t: x**2 + 0 * t)
    np.testing.assert_allclose(r, np.tile([-1.0, -2.0], (4, 1)))


def test_conservation_integrates():
    group = Conservation(lambda at: at.u, lambda at: at.t / 3, over=("x",), n=5)
    r, places = residual(group, lambda x, t: x**2 * t)
    assert np.abs(r).max() < 1e-14 and (places[:, 0] == 0).all()
    whole = Conservation(lambda at: at.u, lambda at: 2.0 / 3, over=("x", "t"), nodes=8)
    assert np.abs(residual(whole, lambda x, t: x**2 * t)[0]).max() < 1e-14


def test_data_are_compared_with_the_field():
    r, _ = residual(Data({"x": [0.0, 1.0], "t": 1.0}, [0.5, 0.5]), lambda x, t: x * t)
    np.testing.assert_allclose(r.ravel(), [-0.5, 0.5])


def at_the_ends(at):
    return at.u


INTERIOR = Interior(lambda at: at.u_t - at.u_xx, n=20)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Box.of(x=(1, 0)), "two finite numbers, the lower one first"),
        (lambda: Box.of(x=(0, np.inf)), "two finite numbers"),
        (lambda: Box.of(), "at least one coordinate"),
        (lambda: Box.of(x_1=(0, 1)), "underscore"),
        (lambda: Boundary(lambda at: at.u, n=0), "group 'boundary': n=0 must be an integer >= 1"),
        (lambda: residual(Boundary(lambda at: at.u, n=3), lambda x, t: x), "n=3 points do not reach 4 faces"),
        (
            lambda: residual(Boundary(lambda at: at.u, "z_min"), lambda x, t: x),
            "no face 'z_min'; there are x_min",
        ),
        (lambda: Interior(lambda at: at.u, weight=-1.0), "weight=-1.0 must be a positive finite number"),
        (
            lambda: residual(Interior(lambda at: jnp.ones(3)), lambda x, t: x),
            r"'interior' returns .* shape \(3,\)",
        ),
        (
            lambda: residual(Data([[0.5, 3.0]], [1.0]), lambda x, t: x),
            "1 of 1 points of group 'data' lie outside",
        ),
        (lambda: residual(Data([[0.5, 1.0]], [1.0, 2.0]), lambda x, t: x), "1 points, but 2 values"),
        (lambda: Data([[0.5, 1.0]], [np.nan]), "1 values are not finite"),
        (lambda: Data(np.zeros((0, 2)), []), "need one a point"),
        (lambda: residual(Data([0.5], [1.0]), lambda x, t: x), "columns x, t"),
        (lambda: PDE(SQUARE, []), "groups is empty"),
        (lambda: PDE(SQUARE, [INTERIOR], fields=("x",)), "different names"),
        (lambda: PDE(SQUARE, [INTERIOR], fields=("u_1",)), "underscore"),
        (lambda: PDE(SQUARE, [INTERIOR], unknowns={"moved": 1.0}), "a method of a point"),
        (lambda: PDE(SQUARE, [INTERIOR], positive=("k",)), "must be among the unknowns"),
        (lambda: Dense(()), "widths >= 1"),
        (lambda: Renewal(0), "every=0 must be >= 1"),
        (lambda: Renewal(5, until=0), "until=0 must be >= 1"),
        (
            lambda: residual(Interior(lambda at: at.u, n=5, where=lambda x, t: x > 2), lambda x, t: x),
            "0 of 500",
        ),
        (lambda: Dense((3,), "relu"), "activation='relu' must be one of"),
        (lambda: solve(PDE(SQUARE, [INTERIOR]), Dense((3,), periodic=("z",))), "no coordinate 'z'"),
        (lambda: solve(PDE(SQUARE, [INTERIOR], hard=lambda at, n: jnp.ones(2)), (3,)), "one value a field"),
        (lambda: solve(PDE(SQUARE, [INTERIOR]), (3,), patience=0), "patience=0"),
        (lambda: solve(PDE(SQUARE, [INTERIOR]), (3,), weighting=Causal(time="z")), "no coordinate 'z'"),
        (lambda: solve(PDE(SQUARE, [INTERIOR]), (3,), weighting=Causal(groups=("a",))), "there is no 'a'"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_an_equation_with_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no 'w_xx' at a point"):
        solve(PDE(SQUARE, [Interior(lambda at: at.w_xx, n=5)]), (3,))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Boundary(0.0), "0.0 is no function"),
        (lambda: Interior(None), "None is no function"),
        (lambda: PDE(SQUARE, INTERIOR), "must be a list"),
        (lambda: PDE({"x": (0, 1)}, [INTERIOR]), "must be a Box"),
    ],
)
def test_the_wrong_kind_is_named(make, words):
    with pytest.raises(TypeError, match=words):
        make()


def test_an_equation_without_return():
    with pytest.raises(ValueError, match="did you leave out `return`"):
        residual(Interior(lambda at: None), lambda x, t: x)


@pytest.mark.parametrize(
    "equation", [lambda at: at.u_x + np.sin(at.x), lambda at: at.u if at.x > 0.5 else at.u_x]
)
def test_numpy_and_if_within_an_equation_are_explained(equation):
    with pytest.raises(TypeError, match=r"group 'interior': .*take jax.numpy in place of numpy"):
        solve(PDE(SQUARE, [Interior(equation, n=5)]), (3,))


@pytest.mark.parametrize(
    ("equation", "words"),
    [
        (lambda at: at.u_x - jnp.sqrt(at.x), r"is NaN or infinite at 2 of 5 points .* first of them x = -1:"),
        (
            lambda at: at.u_x / jnp.where(at.x < 0.4, 1.0, 0.0),
            "is NaN or infinite at 2 of 5 points .* x = 0.5:",
        ),
        (
            lambda at: at.u_x + jnp.sqrt(jnp.where(at.x > 0.9, 0.0 * at.u, 1.0 + at.u**2)),
            "is without a finite derivative by the network at 1 of 5 points .* x = 1:",
        ),
    ],
)
def test_an_equation_that_is_undefined_somewhere_is_told_with_the_point(equation, words):
    interior = Interior(equation, points=np.linspace(-1, 1, 5)[:, None])
    with pytest.raises(ValueError, match=f"group 'interior' {words} is a root"):
        solve(PDE(Box.of(x=(-1, 1)), [Boundary(at_the_ends, n=2), interior]), (3,))


# -- weights -----------------------------------------------------------------------------------------


def test_causal_weights_are_those_of_the_paper():
    points = np.stack([np.zeros(4), np.array([0.0, 1.0, 1.0, 2.0])], axis=1)
    group = GroupState(2.0, points, np.array([[0.1], [0.2], [0.4], [0.5]]), None)
    weights = Causal(tolerance=3.0, slabs=2).weights({"interior": group}, SQUARE)["interior"]
    first = np.exp(-3.0 * 0.1**2)  # slab 0 holds t = 0 only, the middle belongs to slab 1
    np.testing.assert_allclose(weights, [2.0, 2.0 * first, 2.0 * first, 2.0 * first])


def test_balanced_weights_even_out_the_rows():
    groups = {
        "a": GroupState(1.0, np.zeros((2, 2)), np.ones((2, 1)), np.array([4.0, 4.0])),
        "b": GroupState(3.0, np.zeros((1, 2)), np.ones((1, 1)), np.array([1.0])),
    }
    weights = Balanced().weights(groups, SQUARE)
    np.testing.assert_allclose(weights["a"], 1.0)
    np.testing.assert_allclose(weights["b"], 12.0)


# -- solutions ---------------------------------------------------------------------------------------


def swing(at):
    return at.u_xx + at.u


def cosine_at_the_ends(at):
    return at.u - jnp.cos(at.x)


OSCILLATOR = PDE(
    Box.of(x=(0, 3)), [Interior(swing, n=40, sampling=Grid()), Boundary(cosine_at_the_ends, n=2)]
)
HEAT = PDE(
    Box.of(x=(0, 1), t=(0, 1)),
    [Interior(lambda at: at.u_t - 0.25 * at.u_xx, n=150, sampling=Sobol())],
    hard=lambda at, n: jnp.sin(jnp.pi * at.x) + at.t * at.x * (1 - at.x) * n,
)


def heat(x, t):
    return np.exp(-(np.pi**2) * t / 4) * np.sin(np.pi * x)


@pytest.fixture(scope="module")
def oscillator():
    return solve(OSCILLATOR, (10,), max_iter=120)


@pytest.fixture(scope="module")
def heated():
    return solve(HEAT, (8,), max_iter=40)


def test_an_oscillator_to_eight_digits(oscillator):
    assert oscillator.error(lambda x: np.cos(x)) < 1e-8
    assert oscillator.error(lambda x: np.cos(x), relative=False) < 1e-8


def test_derivatives_of_a_solution(oscillator):
    x = np.linspace(0, 3, 7)
    found = oscillator.predict({"x": x}, ["u", "u_x", "u_xx"])
    assert set(oscillator.predict({"x": x}, "u_x")) == {"u_x"}
    np.testing.assert_allclose(found["u_x"], -np.sin(x), atol=1e-7)
    np.testing.assert_allclose(found["u_xx"], -found["u"], atol=1e-6)
    assert oscillator(x=np.zeros((2, 3))).shape == (2, 3)


def test_the_message_names_groups_and_sizes(oscillator):
    assert "interior" in oscillator.message and "boundary" in oscillator.message
    assert str(oscillator).startswith("Solution of u on x in [0, 3]\nPoints stay: ")
    assert set(oscillator.residual_sizes()) == {"interior", "boundary"}


def test_points_outside_are_refused(oscillator):
    with pytest.raises(
        ValueError, match=r"1 of 2 points lie outside of the domain x in \[0, 3\], the first in row 1"
    ):
        oscillator(x=[1.0, 3.5])
    with pytest.raises(ValueError, match="must give the coordinates x"):
        oscillator(y=[1.0])


def test_built_in_conditions_hold_exactly(heated):
    assert heated.error(heat) < 1e-4
    x = np.linspace(0, 1, 9)
    np.testing.assert_array_equal(heated(x=x, t=0.0), np.sin(np.pi * x))
    np.testing.assert_array_equal(heated(x=0.0, t=x), 0.0)


TRANSPORT = PDE(
    Box.of(x=(0, 2), t=(0, 1)),
    [
        Interior(lambda at: at.u_t + at.u_x, n=150, sampling=Sobol()),
        initial(lambda at: at.u - jnp.sin(jnp.pi * at.x), n=40, sampling=Grid()),
    ],
)
RING = Dense((12,), periodic=("x",))  # of one width, so that it is compiled once


def test_a_periodic_network_is_periodic():
    solution = solve(TRANSPORT, RING, max_iter=60)
    t = np.linspace(0, 1, 5)
    np.testing.assert_allclose(solution(x=0.0, t=t), solution(x=2.0, t=t), atol=1e-14)
    assert solution.error(lambda x, t: np.sin(np.pi * (x - t))) < 1e-3


@pytest.mark.parametrize(
    "settings",
    [
        {"renewal": Renewal(1)},
        {"renewal": Renewal(5, until=20)},
        {"renewal": Renewal(5, points=False), "weighting": Balanced()},
        {"weighting": Causal(tolerance=10.0)},
    ],
)
def test_renewed_points_and_weights_solve_it_too(settings):
    solution = solve(TRANSPORT, RING, max_iter=80, **settings)
    assert solution.error(lambda x, t: np.sin(np.pi * (x - t))) < 3e-3


def test_points_stay_until_they_are_renewed():
    before = solve(TRANSPORT, RING, max_iter=3).samples.places["interior"]
    seen = [
        solve(TRANSPORT, RING, max_iter=3, renewal=renewal).samples.places["interior"]
        for renewal in (Renewal(5), Renewal(2, points=False), Renewal(2))
    ]
    assert [np.array_equal(points, before) for points in seen] == [True, True, False]


def test_causal_weights_let_early_times_count_first():
    """At the start only the first slabs count; in the end all do."""
    seen = []

    class Watched(Causal):
        def weights(self, groups, box):
            result = super().weights(groups, box)
            seen.append(result["interior"])
            return result

    solve(TRANSPORT, RING, max_iter=80, weighting=Watched(tolerance=10.0))
    assert seen[0].min() < 1e-3 * seen[0].max() and seen[-1].min() > 0.9 * seen[-1].max()


def test_adaptive_points_crowd_where_the_residual_is_large():
    """A source within |x − 0.5| < 0.05 that a tiny network misses."""
    interior = Interior(
        lambda at: at.u_xx + jnp.exp(-(((at.x - 0.5) / 0.03) ** 2)),
        n=200,
        sampling=ResidualAdaptive(power=2.0),
    )
    pde = PDE(Box.of(x=(0, 1)), [interior, Boundary(lambda at: at.u, n=2)])
    places = solve(pde, 2, max_iter=12).samples.places["interior"]
    near = np.mean(np.abs(places[:, 0] - 0.5) < 0.1)
    assert near > 0.35  # evenly it would be 0.2


def test_points_of_ones_own_and_domains_that_are_no_boxes():
    disk = Interior(lambda at: at.laplacian() + 4.0, n=150, where=lambda x, y: x**2 + y**2 < 1)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    rim = Boundary(lambda at: at.u, points=np.stack([np.cos(angle), np.sin(angle)], axis=1))
    solution = solve(PDE(Box.of(x=(-1, 1), y=(-1, 1)), [disk, rim]), (8,), max_iter=60)
    inside = disk.place(solution.pde.box, np.random.default_rng(1))
    assert inside.shape == (150, 2) and (np.linalg.norm(inside, axis=1) < 1).all()
    assert solution.error(lambda x, y: 1 - x**2 - y**2, points=inside) < 1e-5
    assert np.abs(solution.residual("interior", inside)).max() < 1e-3
    with pytest.raises(ValueError, match="no group 'rim'; there are interior, boundary"):
        solution.residual("rim", inside)


def test_a_curriculum_goes_on_from_a_solution(oscillator):
    interior = Interior(lambda at: at.u_xx + 1.2**2 * at.u, n=40, sampling=Grid())
    faster = PDE(Box.of(x=(0, 3)), [interior, Boundary(lambda at: at.u - jnp.cos(1.2 * at.x), n=2)])
    second = solve(faster, start=oscillator, max_iter=60)
    assert second.error(lambda x: np.cos(1.2 * x)) < 1e-5
    with pytest.raises(ValueError, match="go on with the same network"):
        solve(HEAT, start=oscillator)


def test_the_same_seed_gives_the_same_solution():
    first, second = (solve(HEAT, (8,), max_iter=10, random_state=3) for _ in range(2))
    assert first.cost == second.cost
    assert solve(HEAT, (8,), max_iter=10, random_state=4).cost != first.cost


def test_the_polish_goes_on_from_the_damping_and_lowers_the_cost():
    solution = solve(OSCILLATOR, (10,), max_iter=400, patience=10)
    first, polish = solution.runs
    assert polish.name == "polish by QR" and "by less than a tenth in 10 iterations" in first.ending
    assert polish.fit.result.history[0].damping == first.fit.result.history[-1].damping
    assert polish.fit.cost <= first.fit.cost
    assert len(solve(OSCILLATOR, (10,), max_iter=400, patience=10, polish=False).runs) == 1


def test_the_callback_and_the_limits():
    seen = []
    solution = solve(
        OSCILLATOR, (10,), max_iter=30, callback=lambda record: seen.append(record.cost) or len(seen) > 5
    )
    assert len(seen) >= 6 and solution.runs[0].fit.status is Status.STOPPED_BY_CALLBACK
    timed = solve(OSCILLATOR, (10,), max_time=0.0)
    assert timed.status is Status.MAX_TIME and len(timed.history) == 1


PLACES = np.random.default_rng(0).uniform(size=(60, 2))
NOISE = 0.02 * np.random.default_rng(1).normal(size=60)


def conduction(at):
    return at.u_t - at.kappa * at.u_xx


def conductivity(values, start=None, parts=1, **settings):
    """κ from temperatures, in one group of data or in several."""
    data = [
        Data(PLACES[k::parts], values[k::parts], weight=1.0 / parts, name=f"data{k}") for k in range(parts)
    ]
    interior = Interior(conduction, n=150, weight=100.0, sampling=Sobol())
    ends = Boundary(at_the_ends, ("x_min", "x_max"), n=20, sampling=Grid())
    pde = PDE(HEAT.box, [interior, ends, *data], unknowns={"kappa": 1.0}, positive=("kappa",))
    return solve(pde, (8, 8), start=start, max_iter=150, **settings)


@pytest.fixture(scope="module")
def measured():
    return conductivity(heat(*PLACES.T) + NOISE)


def test_an_unknown_coefficient_and_its_standard_error(measured):
    found = measured.unknowns["kappa"]
    assert abs(found.value - 0.25) < 3 * found.standard_error < 0.03 and "±" in str(found)


def test_standard_errors_come_from_the_true_sensitivities(measured):
    """A datum is moved, and the problem is solved again; what is left is curvature."""
    gain, _, _ = gains(measured)
    values = heat(*PLACES.T) + NOISE
    row = int(np.argmax(np.abs(gain[0])))
    moved = values.copy()
    moved[row] += 0.01
    again, before = (conductivity(y, start=measured, patience=100) for y in (moved, values))
    change = again.unknowns["kappa"].value - before.unknowns["kappa"].value
    assert change == pytest.approx(gain[0, row] * np.sqrt(1 / 60) * 0.01, rel=0.3)


def test_two_groups_of_data_have_each_their_noise(measured):
    """The same data in two halves: about the same error; one half far noisier is told."""
    halves = conductivity(heat(*PLACES.T) + NOISE, start=None, parts=2)
    one, two = measured.unknowns["kappa"], halves.unknowns["kappa"]
    assert two.value == pytest.approx(one.value, abs=one.standard_error)
    assert two.standard_error == pytest.approx(one.standard_error, rel=0.5)


def test_without_data_there_is_no_standard_error():
    pde = PDE(HEAT.box, [Interior(conduction, n=20)], unknowns={"kappa": 1.0})
    assert np.isnan(solve(pde, (3,), max_iter=2).unknowns["kappa"].standard_error)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("no room")])
def test_what_is_solved_is_kept_when_a_later_run_fails(error, monkeypatch):
    calls = []

    def failing(*arguments, **settings):
        calls.append(settings)
        if isinstance(settings.get("solver"), QR):
            raise error
        return fit_groups(*arguments, **settings)

    monkeypatch.setattr(training, "fit_groups", failing)
    solution = solve(OSCILLATOR, (10,), max_iter=300, patience=10)
    assert len(solution.runs) == 1 and solution.error(lambda x: np.cos(x)) < 1e-6
    assert "before polish by QR" in solution.message and isinstance(calls[-1]["solver"], QR)


def test_an_interrupt_while_compiling_ends_it(monkeypatch):
    def interrupted(*arguments, **settings):
        fit = fit_groups(*arguments, **settings)
        return replace(fit, result=replace(fit.result, status=Status.INTERRUPTED))

    monkeypatch.setattr(training, "fit_groups", interrupted)
    with pytest.raises(KeyboardInterrupt):
        solve(OSCILLATOR, (10,), max_iter=3)


# -- files -------------------------------------------------------------------------------------------


def test_a_solution_comes_back_from_its_file(measured, tmp_path):
    path = tmp_path / "heat.marquardt"
    measured.save(path)
    back = Solution.load(path, measured.pde)
    at = {"x": np.linspace(0, 1, 7), "t": 0.3}
    np.testing.assert_array_equal(back(**at), measured(**at))
    assert back.unknowns == measured.unknowns and str(back) == str(measured)
    assert repr(back.history) == repr(measured.history)
    assert back.success and back.network == measured.network
    for name, place in measured.samples.places.items():
        np.testing.assert_equal(back.samples.places[name], place)
    assert back.params_for(measured.pde, measured.network)["unknowns"] == measured.params["unknowns"]
    with pytest.raises(AttributeError, match=r"no 'problem' of a fit that was saved.*start=solution"):
        _ = back.fit.problem
    with pytest.raises(ModelFileError, match=r"Solution\.load\(path, pde\)"):
        load(path)


def test_a_file_of_another_problem_is_refused(oscillator, measured, tmp_path):
    path = tmp_path / "a.marquardt"
    oscillator.save(path)
    with pytest.raises(ValueError, match=r"was solved with box .*give the problem that was solved"):
        Solution.load(path, measured.pde)
    with pytest.raises(ValueError, match="give the network that was trained"):
        Solution.load(path, OSCILLATOR, network=Dense((3,)))
    marquardt.save(LMRegressor((1,), n_starts=1).fit(np.eye(9, 1), np.zeros(9)), path)
    with pytest.raises(ModelFileError, match="holds no solution of a differential problem, but a regressor"):
        Solution.load(path, OSCILLATOR)


def test_a_solution_of_functions_of_a_module_can_be_pickled(oscillator, monkeypatch):
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(**globals()))  # pytest's import mode
    for back in (pickle.loads(pickle.dumps(oscillator)), copy.deepcopy(oscillator)):
        np.testing.assert_array_equal(back(x=[0.5, 1.0]), oscillator(x=[0.5, 1.0]))
        assert str(back) == str(oscillator) and repr(back.history) == repr(oscillator.history)


# -- ready problems ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_exact_solution_of_a_ready_problem_satisfies_all_its_groups(name):
    ready = PROBLEMS[name]()
    if not isinstance(ready.exact, ClosedForm):
        pytest.skip("its solution is by another method, see the references")
    law, names = ready.exact.law, ready.pde.box.names

    def fields(*x):
        known = law(**dict(zip(names, x, strict=True)))
        return jnp.stack(known if isinstance(known, tuple) else (known,))

    network = Known(fields)
    model = ready.pde.model(network)
    samples = Samples(ready.pde, model)
    params = model.start({name: 0.25 for name in ready.pde.unknowns}, np.random.default_rng(0))
    for group in set(samples.places) - {"data"}:  # which have noise
        assert np.abs(samples.residual(group, params)).max() < 1e-10, group


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "iterations", "error"),
    [
        ("helmholtz", 100, 1e-2),
        ("heat_4d", 60, 1e-4),
        ("kovasznay", 50, 1e-3),
        ("heat_conductivity", 150, 2e-2),
    ],
)
def test_ready_problems_that_no_benchmark_solves(name, iterations, error):
    ready = PROBLEMS[name]()
    assert ready.error(ready.solve(max_iter=iterations)) < error


# -- references --------------------------------------------------------------------------------------


def central(function, x, t, h=1e-4):
    """u, u_x, u_t, u_xx by central differences."""
    u = function(x, t)
    right, left = function(x + h, t), function(x - h, t)
    return (
        u,
        (right - left) / (2 * h),
        (function(x, t + h) - function(x, t - h)) / (2 * h),
        (right - 2 * u + left) / h**2,
    )


@pytest.mark.parametrize("nu", [0.02, 0.05, 1.0])
def test_the_reference_of_burgers_solves_it(nu):
    x, t = np.array([-0.8, -0.3, 0.02, 0.5]), np.array([0.3, 0.7, 0.9, 0.2])
    u, u_x, u_t, u_xx = central(lambda x, t: burgers_reference(x, t, nu), x, t)
    np.testing.assert_allclose(u_t + u * u_x - nu * u_xx, 0.0, atol=1e-5)
    np.testing.assert_allclose(burgers_reference(x, 0 * t), -np.sin(np.pi * x))
    np.testing.assert_allclose(burgers_reference(x, 1e-6 + 0 * t), -np.sin(np.pi * x), atol=1e-4)


def test_the_reference_of_allen_and_cahn_solves_it():
    x, t = np.array([-0.7, 0.1, 0.6]), np.full(3, 0.3)
    u, _, u_t, u_xx = central(allen_cahn_reference, x, t, 1e-3)
    np.testing.assert_allclose(u_t - 1e-4 * u_xx - 5 * (u - u**3), 0.0, atol=1e-4)
    np.testing.assert_allclose(allen_cahn_reference(x, 0 * t), x**2 * np.cos(np.pi * x), atol=1e-5)


# -- pictures ----------------------------------------------------------------------------------------


def test_the_picture_has_four_parts(oscillator):
    titles = [axes.get_title() for axes in oscillator.plot(lambda x: np.cos(x)).axes]
    assert {"Solution u", "The run"} <= set(titles) and any("relative L2" in title for title in titles)


def test_a_picture_of_two_coordinates_without_a_known_solution(heated):
    assert any("Size of the residual" in axes.get_title() for axes in heated.plot().axes)


def test_the_model_of_a_field_is_its_network():
    model = FieldModel(SQUARE, ("u",), Known(lambda x, t: x * t))
    with double_precision():
        assert float(model.value({"network": {"amplitude": 2.0}}, jnp.array([3.0, 2.0]))[0]) == 12.0
