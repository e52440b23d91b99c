"""The parameters of a network in a file, without pickle."""

from __future__ import annotations

import os

from marquardt._types import FloatArray
from marquardt.files.archive import ModelFileError, read_archive, write_archive
from marquardt.models.mlp import MLP


def save_weights(path: str | os.PathLike[str], network: MLP, w: FloatArray) -> None:
    """Write `w` (n_params,) and the layers it belongs to, in one step: a full disk keeps the old file.

    Raises
    ------
    ModelFileError
        If the file cannot be written.
    """
    write_archive(path, {"kind": "weights", "layers": repr(network)}, {"w": w})


def load_weights(path: str | os.PathLike[str], network: MLP) -> FloatArray:
    """The parameters that `save_weights` wrote.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, of another kind, or its weights are those of another network.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from marquardt import Input, Linear
    >>> net = Input(1) >> Linear(1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(f"{folder}/a.marquardt", net, np.array([2.0, 1.0]))
    ...     load_weights(f"{folder}/a.marquardt", net)
    array([2., 1.])
    """
    header, arrays = read_archive(path)
    name = os.fspath(path)
    if header.get("kind") != "weights" or "w" not in arrays:
        raise ModelFileError(
            f"{name!r} holds no plain weights: read it by `marquardt.files.persistence.load`"
        )
    if header.get("layers") != repr(network):
        raise ModelFileError(
            f"{name!r} holds the weights of {str(header.get('layers'))[:200]}, not of {network!r}: "
            "make the network that it was saved from"
        )
    try:
        return network.check_parameters(arrays["w"])
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{name!r} is damaged: {error}") from None
