"""Class labels as numbers for a network, and its outputs as labels again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import log_expit, log_softmax
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import type_of_target

from marquardt._types import FloatArray
from marquardt.models.layers import Layer, Logistic, Softmax


@dataclass(frozen=True)
class Labels:
    """The classes of a fit.  Two classes share one output, more have one each.

    Examples
    --------
    >>> labels = Labels.of(np.array(["no", "yes", "no"]))
    >>> labels.targets(np.array(["no", "yes"]))
    array([[0.],
           [1.]])
    >>> labels.output_layer()
    Logistic(1)
    >>> Labels.of(np.array([3, 1, 2])).output_layer()
    Softmax(3)
    """

    classes: np.ndarray
    """(n_classes,), sorted; for several labels at once the column numbers of y."""
    multilabel: bool
    """Whether a row may have several labels, or none."""

    @classmethod
    def of(cls, y: np.ndarray) -> Labels:
        """Of labels (n,) or of an indicator matrix (n, n_labels).

        Raises
        ------
        ValueError
            When all labels are the same.
        """
        if type_of_target(y).startswith("multilabel"):
            return cls(np.arange(y.shape[1]), True)
        if y.ndim != 1:
            raise ValueError(
                f"y has shape {y.shape} but is no matrix of zeros and ones: give one label a row, or one "
                f"column a label, 1 where the row has it"
            )
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(
                f"y has only one class, {classes.tolist()[0]!r}, among the rows with a weight: a classifier "
                "needs rows of at least two classes"
            )
        return cls(classes, False)

    @property
    def exclusive(self) -> bool:
        """Whether the outputs are shares that add to 1."""
        return not self.multilabel and len(self.classes) > 2

    def output_layer(self) -> Layer:
        """Of the network."""
        if self.exclusive:
            return Softmax(len(self.classes))
        return Logistic(len(self.classes) if self.multilabel else 1)

    def check_same(self, other: Labels) -> None:
        """Refuse to go on training on labels that are not those of the last fit."""
        if self.multilabel != other.multilabel:
            kinds = ["one label a row", "an indicator matrix"]
            raise ValueError(
                f"warm_start: y is {kinds[other.multilabel]}, and in the last fit it was "
                f"{kinds[self.multilabel]}; set warm_start=False"
            )
        if len(self.classes) != len(other.classes) or (self.classes != other.classes).any():
            before, now = set(self.classes.tolist()), set(other.classes.tolist())
            unseen, missing = sorted(now - before, key=str), sorted(before - now, key=str)
            raise ValueError(
                f"warm_start: y must have the classes of the last fit; new are {unseen}, missing are "
                f"{missing}. Set warm_start=False"
            )

    def targets(self, y: np.ndarray) -> FloatArray:
        """Zeros and ones (n, n_outputs)."""
        if self.multilabel:
            return y.astype(np.float64)
        index = np.searchsorted(self.classes, y)
        return np.eye(len(self.classes))[index] if self.exclusive else index[:, None].astype(np.float64)

    def strata(self, targets: FloatArray) -> np.ndarray | None:
        """The number of the class of each row, (n,); None where a row may have several."""
        if self.multilabel:
            return None
        return targets.argmax(axis=1) if self.exclusive else targets[:, 0].astype(int)

    def weights(
        self,
        class_weight: Mapping | str | None,
        y: np.ndarray,
        sample_weight: FloatArray | None,
    ) -> FloatArray | None:
        """Weights of the rows (n,), those of their classes multiplied in.

        "balanced" gives each class the same share of the total weight, which stays what it is.
        """
        if class_weight is None:
            return sample_weight
        if self.multilabel:
            raise ValueError(
                "class_weight needs one label a row, and y is an indicator matrix: weigh its rows by "
                "sample_weight"
            )
        index = np.searchsorted(self.classes, y)
        given = np.ones(len(y)) if sample_weight is None else sample_weight
        if isinstance(class_weight, str):
            counts = np.bincount(index, weights=given)
            of_class = counts.sum() / (len(counts) * counts)
        else:
            weights: dict = dict(class_weight)
            of_class = compute_class_weight(weights, classes=self.classes, y=y).astype(float)
            if not (np.isfinite(of_class).all() and (of_class > 0).all()):
                raise ValueError(f"class_weight={weights} must have finite values > 0")
        return given * of_class[index]

    def probabilities(self, outputs: FloatArray) -> FloatArray:
        """(n, n_classes) from outputs (n, n_outputs) of the network."""
        if self.multilabel or self.exclusive:
            return outputs
        return np.hstack([1.0 - outputs, outputs])

    def log_probabilities(self, arguments: FloatArray) -> FloatArray:
        """(n, n_classes) from the arguments (n, n_outputs) of the output layer; finite for any of them."""
        if self.exclusive:
            return log_softmax(arguments, axis=1)
        if self.multilabel:
            return log_expit(arguments)
        return np.hstack([log_expit(-arguments), log_expit(arguments)])

    def decoded(self, outputs: FloatArray) -> np.ndarray:
        """The most probable class of each row (n,), or an indicator matrix, from outputs (n, n_outputs)."""
        if self.multilabel:
            return (outputs > 0.5).astype(int)
        if self.exclusive:
            return self.classes[outputs.argmax(axis=1)]
        return self.classes[(outputs[:, 0] > 0.5).astype(int)]
