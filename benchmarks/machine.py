"""What the numbers were measured on: enough to compare, nothing that tells whose machine it is."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("duckdb", "ibis-framework", "pandera", "dagster", "pandas", "pyarrow")


def description() -> str:
    """Processor, cores, memory, system and versions, as Markdown."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"- {_processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB of memory, {platform.system()}\n"
        f"- Python {platform.python_version()}, {versions}"
    )


def load() -> str:
    """How busy the machine is right now, in words."""
    busy = os.getloadavg()[0]
    return f"load {busy:.1f} on {os.cpu_count()} cores"


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            return int(line.split()[1]) * 1024 / 1e9
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
