"""Where a number comes from."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from imtext import __version__


def provenance(device: str, seconds: float, **extra: Any) -> dict[str, Any]:
    """Where a number comes from: versions, hardware, commit, time.

    >>> sorted(provenance("cpu", 1.0))[:4]
    ['commit', 'device', 'hardware', 'imtext']
    """
    import torch

    hardware = torch.cuda.get_device_name(0) if device.startswith("cuda") else _processor()
    return {
        "imtext": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": device,
        "hardware": hardware,
        "commit": _commit(),
        "seconds": round(seconds, 1),
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        **extra,
    }


def _processor() -> str:
    """The processor's name and the cores this process may use."""
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {os.cpu_count()} cores"


def _commit() -> str:
    """The commit of imtext's own checkout, marked where the package differs from it; '' with none."""
    package = Path(__file__).resolve().parent.parent
    # Named, since git would look further up and take whatever repository the package happens to lie in.
    git = ["git", f"--git-dir={package.parent / '.git'}", f"--work-tree={package.parent}"]
    options = {"cwd": package, "capture_output": True, "text": True, "timeout": 10}
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], **options).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "."], **options).returncode
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{commit}-dirty" if commit and changed else commit
