"""The device that JAX computes on, and what to do when it has no memory for a chunk."""

from __future__ import annotations

import jax
import numpy as np


def is_cpu() -> bool:
    """Whether new arrays are on a CPU, and thus in reach of the host's BLAS."""
    return all(device.platform == "cpu" for device in jax.device_put(np.zeros(())).devices())


def halved(size: int, error: Exception, notes: list[str]) -> int:
    """Half of `size`, with a note; raises `error` when it is another fault, or nothing is left to halve."""
    if "RESOURCE_EXHAUSTED" not in str(error) or size == 1:
        raise error
    smaller = size // 2
    notes.append(f"the device ran out of memory for {size} at once: went on with {smaller}")
    return smaller
