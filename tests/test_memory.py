"""How much memory is left, from the files of the kernel and of a container."""

from pathlib import Path

import pytest

from marquardt import _memory

MEMINFO = "MemTotal:       32000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n"
AVAILABLE = 8_000_000 * 1024


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Write the files of a pretended machine."""
    monkeypatch.setattr(_memory, "Path", lambda path: tmp_path / str(path).lstrip("/"))

    def write(**files):
        paths = {"meminfo": "proc/meminfo"}
        for name, text in files.items():
            path: Path = tmp_path / paths.get(name, "sys/fs/cgroup/memory." + name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_the_memory_of_the_machine(machine):
    machine(meminfo=MEMINFO)
    assert _memory.available_bytes() == AVAILABLE


def test_a_container_without_a_limit(machine):
    machine(meminfo=MEMINFO, max="max\n", current="1000\n")
    assert _memory.available_bytes() == AVAILABLE


def test_the_limit_of_a_container_counts_what_it_uses(machine):
    machine(meminfo=MEMINFO, max="3000000000\n", current="1000000000\n")
    assert _memory.available_bytes() == 2_000_000_000


def test_cached_files_of_a_container_are_given_back_when_memory_is_needed(machine):
    machine(
        meminfo=MEMINFO,
        max="3000000000\n",
        current="2900000000\n",
        stat="anon 400000000\nfile 2500000000\ninactive_file 2000000000\nactive_file 500000000\n",
    )
    assert _memory.available_bytes() == 2_100_000_000


def test_a_container_over_its_limit_has_nothing_left(machine):
    machine(meminfo=MEMINFO, max="1000\n", current="2000\n")
    assert _memory.available_bytes() == 0


@pytest.mark.parametrize("broken", ["", "MemAvailable:", "MemAvailable: much kB\n"])
def test_files_that_do_not_say(machine, monkeypatch, broken):
    machine(meminfo=broken, max="a lot", current="some")
    monkeypatch.setattr(
        _memory.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_AVPHYS_PAGES": 10}[name]
    )
    assert _memory.available_bytes() == 40960


def test_a_system_that_says_nothing_at_all(machine, monkeypatch):
    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr(_memory.os, "sysconf", unknown)
    assert _memory.available_bytes() is None


def test_this_machine_has_memory():
    free = _memory.available_bytes()
    assert free is None or free > 0


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 kB"),
        (500, "0.5 kB"),
        (4.5e8, "450 MB"),
        (3.2e9, "3.2 GB"),
        (1.23e13, "12.3 TB"),
        (9.996e8, "1 GB"),
    ],
)
def test_sizes_as_people_write_them(n_bytes, text):
    assert _memory.readable(n_bytes) == text
