"""The record of a run: its figures, the day, and the machine that it ran on."""

import datetime
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
FLAGS = (  # extensions that decide which kernels run
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "bf16", "i8mm", "sve"),
)
PACKAGES = ("torch", "transformers", "numpy")


def write(name: str, on: dict[str, Any], content: dict[str, Any], path: Path | None = None) -> Path:
    """Writes a run's JSON, in `results` under its name and today's date where no path is given; gives the path.

    `on`: the `machine` as it was before the run.
    """
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    path = path or RESULTS / f"{name}-{today}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"benchmark": name, "date": today, "machine": on} | content
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    return path


def machine() -> dict[str, Any]:
    """Processor, cores, memory, and the versions that matter."""
    return {
        "processor": _line("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "instructions": [flag for flag in FLAGS if flag in (_line("/proc/cpuinfo", "flags") or "").split()],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _line(path: str, key: str) -> str | None:
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except OSError:
        return None
    found = (line.partition(":") for line in lines if ":" in line)
    return next((value.strip() for name, _, value in found if name.strip() == key), None)
