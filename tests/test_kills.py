"""A study killed at a few moments ends as one that was never killed; `kill_study.py` tries many more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_killed_and_started_again_gives_the_same_table() -> None:
    # A process of its own: it forks, which a process with threads must not.
    script = Path(__file__).with_name("kill_study.py")
    command = [sys.executable, str(script), "--times=1", "--writes=3"]
    done = subprocess.run(
        command, env={**os.environ, "CI": "true"}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "4 kills" in done.stdout
    assert done.stdout.count("same table") == 5  # a line each, and the sum
