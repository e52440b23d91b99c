"""Sequences: NARX networks, open and closed loop; and how far back in time a gradient reaches."""

from marquardt.apps.sequences.delays import Delays
from marquardt.apps.sequences.gradient_flow import GradientFlow, Watched
from marquardt.apps.sequences.narx import NARXRegressor
from marquardt.apps.sequences.preparation import Prepared, prepare

__all__ = ["Delays", "GradientFlow", "NARXRegressor", "Prepared", "Watched", "prepare"]
