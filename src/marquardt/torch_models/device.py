"""The device that a module lives on, and what to do when it has no memory for a chunk."""

from __future__ import annotations

import torch


def device_of(module: torch.nn.Module) -> torch.device:
    """Where all parameters and buffers of a module are.

    Raises
    ------
    ValueError
        When they are spread over devices, or on one without float64.
    """
    tensors = [*module.parameters(), *module.buffers()]
    devices = {tensor.device for tensor in tensors}
    if len(devices) > 1:
        names = ", ".join(sorted(map(str, devices)))
        raise ValueError(f"the module is spread over {names}: move it to one, module.to(device)")
    device = devices.pop() if devices else torch.device("cpu")
    if device.type in ("meta", "mps"):
        raise ValueError(f"the module is on {device.type!r}, which has no float64: move it, module.to('cpu')")
    return device


def is_out_of_memory(error: Exception) -> bool:
    """Whether PyTorch says that memory ran out, on an accelerator or on the host."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def halved(size: int, error: Exception, notes: list[str]) -> int:
    """Half of `size`, with a note; raises `error` when it is another fault, or nothing is left to halve."""
    if not is_out_of_memory(error) or size == 1:
        raise error
    smaller = size // 2
    notes.append(f"the device ran out of memory for {size} samples at once: went on with {smaller}")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return smaller
