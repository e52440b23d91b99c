"""Jacobians one above the other do what their dense twin does."""

import numpy as np
import pytest

from marquardt.jacobian import DenseJacobian
from marquardt.moving_problem import MovingProblem
from marquardt.residual_problem import ResidualProblem
from marquardt.stacked_jacobian import StackedJacobian

RNG = np.random.default_rng(0)
PARTS = [RNG.normal(size=(n, 4)) for n in (3, 1, 6)]
MATRIX = np.concatenate(PARTS)
STACKED = StackedJacobian([DenseJacobian(part) for part in PARTS])
GROUPS = np.array([0, 1, 1, 0])
WEIGHTS = np.array([1.0, 2.0, 0.5, 3.0])


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (lambda J: J.mv(np.arange(4.0)), MATRIX @ np.arange(4.0)),
        (lambda J: J.rmv(np.arange(10.0)), MATRIX.T @ np.arange(10.0)),
        (lambda J: np.triu(J.gram()), np.triu(MATRIX.T @ MATRIX)),
        (lambda J: np.triu(J.gram(np.full((4, 4), np.nan))), np.triu(MATRIX.T @ MATRIX)),
        (lambda J: np.triu(J.cogram()), np.triu(MATRIX @ MATRIX.T)),
        (lambda J: np.triu(J.cogram(WEIGHTS)), np.triu(MATRIX @ np.diag(WEIGHTS) @ MATRIX.T)),
        (lambda J: J.column_sqnorms(), np.square(MATRIX).sum(axis=0)),
        (lambda J: J.dense(), MATRIX),
        (lambda J: np.concatenate(list(J.row_chunks())), MATRIX),
        (
            lambda J: J.column_forms(np.eye(10), GROUPS, 2),
            np.bincount(GROUPS, np.square(MATRIX).sum(axis=0)),
        ),
        (lambda J: J.shape, (10, 4)),
        (lambda J: (J.gram_flops(), J.cogram_flops()), (160.0, 400.0)),
    ],
)
def test_agrees_with_the_dense_twin(ours, expected):
    np.testing.assert_allclose(ours(STACKED), expected, rtol=1e-13, atol=1e-13)


def test_a_moving_problem_is_renewed_only_by_accepted_steps():
    seen = []

    def renew(w, count):
        seen.append((count, w.copy()))
        return ResidualProblem(lambda w: w - count, 1, lambda w: np.eye(1))

    problem = MovingProblem(renew, np.zeros(1), every=1)
    problem.linearize(np.zeros(1))
    for _ in range(3):
        assert problem.cost(np.ones(1)) == 0.5  # trial points ask for the cost only
    at = problem.linearize(np.ones(1))
    assert [count for count, _ in seen] == [0, 1] and at.cost == 0.0 and problem.n_params == 1
    with pytest.raises(ValueError, match="every=0 must be >= 1"):
        MovingProblem(renew, np.zeros(1), every=0)
