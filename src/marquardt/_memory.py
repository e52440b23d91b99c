"""How much memory is left, so that a job too large is refused before it starts."""

from __future__ import annotations

import os
from pathlib import Path


def available_bytes() -> int | None:
    """Memory that can be had without swapping, in bytes; None when the system does not say."""
    limits = [limit for limit in (_meminfo(), _control_group()) if limit is not None]
    if limits:
        return min(limits)
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _meminfo() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _control_group() -> int | None:
    """What a container's limit (cgroup v2) leaves."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (group / "memory.max").read_text().strip(), (group / "memory.current").read_text()
        return None if limit == "max" else max(0, int(limit) - int(used) + _cached_files(group))
    except (OSError, ValueError):
        return None


def _cached_files(group: Path) -> int:
    """What counts as used but is given back on demand: files that were read and are not in use."""
    try:
        for line in (group / "memory.stat").read_text().splitlines():
            if line.startswith("inactive_file "):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


def readable(n_bytes: float) -> str:
    """12.3 GB, 450 MB, ...

    >>> readable(3.2e9)
    '3.2 GB'
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= 0.9995 * size:  # 999.6 MB would be written as 1e+03 MB
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"
