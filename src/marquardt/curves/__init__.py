"""Curves: fit functions of a few parameters to points, alone, in groups, or by the thousand."""

from marquardt.curves.comparison import Comparison, FTest, compare
from marquardt.curves.curve import Curve
from marquardt.curves.curve_fit import curve_fit
from marquardt.curves.fitted_curve import Band, CurveFit
from marquardt.curves.group_fits import GroupFits
from marquardt.curves.jax_curve import jax_curve
from marquardt.curves.many_curves import ManyFits, fit_many
from marquardt.curves.separable import SeparableGuess, middles, places, product, rates, widths
from marquardt.curves.shapes import SHAPES, polynomial, shape

__all__ = [
    "SHAPES",
    "Band",
    "Comparison",
    "Curve",
    "CurveFit",
    "FTest",
    "GroupFits",
    "ManyFits",
    "SeparableGuess",
    "compare",
    "curve_fit",
    "fit_many",
    "jax_curve",
    "middles",
    "places",
    "polynomial",
    "product",
    "rates",
    "shape",
    "widths",
]
