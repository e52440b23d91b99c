"""Uncertainty of the parameters of least-squares fits: profiles, contours, bootstrap, report."""

from marquardt.uncertainty.bootstrap import Bootstrap, bootstrap
from marquardt.uncertainty.contour import Contour, contour
from marquardt.uncertainty.fit_report import fit_report
from marquardt.uncertainty.profile import ConfidenceInterval, Profile, conf_interval, profile

__all__ = [
    "Bootstrap",
    "ConfidenceInterval",
    "Contour",
    "Profile",
    "bootstrap",
    "conf_interval",
    "contour",
    "fit_report",
    "profile",
]
