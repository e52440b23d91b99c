"""The container of a `.marquardt` file: a zip with one JSON header and plain arrays, read without trust.

Layout (version 1): `header.json`, then `arrays/<name>.npy` for every array.  Members are stored, not
compressed, so that a small file cannot unfold into a large one.  Nothing is ever unpacked to the disk, no
member is a pickle, and every size is checked against the bytes at hand before memory is taken.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from marquardt.atomic_file import write_atomically

FORMAT = "marquardt-model"
FORMAT_VERSION = 1
_ZIP = b"PK"

_HEADER = "header.json"
_HEADER_LIMIT = 64 * 2**20  # bytes; far above any real header (columns, categories, notes)
_MEMBER_LIMIT = 4096
_ARRAY_NAME = re.compile(r"arrays/([a-z0-9_.]{1,80})\.npy")
_DTYPES = (np.dtype("<f8"), np.dtype("<i8"), np.dtype("?"))


class ModelFileError(ValueError):
    """A model file cannot be read or written; the message says why and what to do."""


def write_archive(path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write a header and arrays to `path`, in one step: a full disk keeps the old file.

    Parameters
    ----------
    path : path-like
    header : mapping
        JSON data (finite numbers, strings, lists, dicts).
    arrays : mapping of str to array
        Kept as float64, int64 or bool.

    Raises
    ------
    ModelFileError
        If the header or an array cannot be stored without pickle, or the file cannot be written.

    Examples
    --------
    >>> import tempfile, os
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "a.marquardt")
    ...     write_archive(path, {"note": "hello"}, {"w": np.arange(3.0)})
    ...     header, arrays = read_archive(path)
    >>> header["note"], arrays["w"]
    ('hello', array([0., 1., 2.]))
    """
    full_header = {"format": FORMAT, "format_version": FORMAT_VERSION, **header}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        try:
            text = json.dumps(_storable(full_header), allow_nan=False, ensure_ascii=False, indent=1)
        except (TypeError, ValueError) as error:
            raise ModelFileError(f"the model's header is not plain JSON data: {error}") from error
        archive.writestr(_HEADER, text)
        for name, array in arrays.items():
            archive.writestr(f"arrays/{name}.npy", _npy_bytes(name, array))
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise ModelFileError(str(error)) from error


def read_archive(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_archive` wrote, refusing everything else.

    Raises
    ------
    ModelFileError
        If the file is missing, truncated, of a newer format, or not a model file.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            begins = file.read(len(_ZIP))
            if begins and begins != _ZIP:
                raise _refusal(name, "it does not begin like one; tables are for `marquardt fit`")
            with zipfile.ZipFile(file) as archive:
                members = _checked_members(name, archive, os.fstat(file.fileno()).st_size)
                header = _read_header(name, archive)
                arrays = {key: _read_array(name, key, archive.read(info)) for key, info in members.items()}
    except FileNotFoundError:
        raise ModelFileError(f"there is no file {name!r}: check the path") from None
    except IsADirectoryError:
        raise ModelFileError(f"{name!r} is a folder: name the .marquardt file in it") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OverflowError) as error:
        raise _refusal(name, f"it is damaged or truncated ({error})") from error
    except OSError as error:
        raise ModelFileError(f"could not read {name!r}: {error.strerror or error}") from error
    return header, arrays


def _refusal(name: str, why: str) -> ModelFileError:
    return ModelFileError(
        f"{name!r} is not a model file that marquardt can read: {why}. Nothing in it was run. "
        "Make it again with `marquardt fit`, or ask for a fresh copy."
    )


def _npy_bytes(name: str, values: Any) -> bytes:
    array = np.asarray(values)
    kind = {"f": "<f8", "i": "<i8", "u": "<i8", "b": "?"}.get(array.dtype.kind)
    if kind is None:
        raise ModelFileError(
            f"array {name!r} has dtype {array.dtype}: only numbers and booleans can be saved"
        )
    if _ARRAY_NAME.fullmatch(f"arrays/{name}.npy") is None:
        raise ModelFileError(f"array name {name!r} must be of a-z, 0-9, '_' and '.'")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array, dtype=kind, order="C"), allow_pickle=False)
    return buffer.getvalue()


def _checked_members(name: str, archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The array members by array name, after checks on the directory alone: nothing is read yet."""
    infos = archive.infolist()
    if len(infos) > _MEMBER_LIMIT:
        raise _refusal(name, f"it has {len(infos)} members")
    if len({info.filename for info in infos}) != len(infos):
        raise _refusal(name, "a member occurs twice")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        match = _ARRAY_NAME.fullmatch(info.filename)
        if match is None and info.filename != _HEADER:
            raise _refusal(name, f"it holds a foreign member {info.filename[:80]!r}")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise _refusal(name, f"member {info.filename!r} is compressed")
        if match is not None:
            members[match.group(1)] = info
    # Stored members cannot together be larger than the file, unless they overlap.
    if sum(info.file_size for info in infos) > size:
        raise _refusal(name, "its members overlap")
    if _HEADER not in archive.namelist():
        raise _refusal(name, f"it has no {_HEADER}")
    return members


def _read_header(name: str, archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(_HEADER).file_size > _HEADER_LIMIT:
        raise _refusal(name, "its header is too large")
    try:
        header = json.loads(archive.read(_HEADER).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refusal(name, f"its header is not JSON ({type(error).__name__})") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _refusal(name, f"its header does not say {FORMAT!r}")
    version = header.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _refusal(name, f"its format version is {str(version)[:40]!r}")
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{name!r} was written by a newer marquardt ({str(header.get('written_by', 'unknown'))[:40]}): "
            f"its file format is {version}, this one reads up to {FORMAT_VERSION}. "
            "Run `python -m pip install --upgrade marquardt`."
        )
    return header


def _read_array(name: str, key: str, data: bytes) -> np.ndarray:
    """Parse one .npy by its header, and take memory only for bytes that are there."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"npy version {version}")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise _refusal(name, f"array {key!r} has no valid header ({type(error).__name__})") from error
    if dtype not in _DTYPES:
        raise _refusal(name, f"array {key!r} has dtype {str(dtype)[:40]}, which is not plain numbers")
    if any(extent < 0 for extent in shape) or len(shape) > 4:
        raise _refusal(name, f"array {key!r} has shape {str(shape)[:60]}")
    body = data[stream.tell() :]
    if math.prod(shape) * dtype.itemsize != len(body):  # Python integers: no overflow
        raise _refusal(name, f"array {key!r} claims shape {str(shape)[:60]} but holds {len(body)} bytes")
    flat = np.frombuffer(body, dtype=dtype)
    return flat.reshape(shape, order="F" if fortran_order else "C").copy()


def _storable(data: Any) -> Any:
    """`data` with the numbers JSON has no word for as text, "nan" or "inf", which `float` reads back."""
    if isinstance(data, float) and not math.isfinite(data):
        return repr(data)
    if isinstance(data, Mapping):
        return {key: _storable(value) for key, value in data.items()}
    return [_storable(value) for value in data] if isinstance(data, list | tuple) else data
