"""Execute the notebooks as other processors would, and compare their outputs with the committed ones.

    python tests/any_cpu.py [--jobs 2] [NOTEBOOK ...]

PyTorch, oneDNN, MKL, OpenBLAS, NumPy and OpenCV choose their code by what the processor can do; each takes a
word from the environment that makes it choose as on a lesser one. Data, features and runs are made anew under
every setting. Exit code 1 where a notebook shows something else than the committed one.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build" / "any-cpu"
# What each library may use beyond its baseline: NumPy and OpenCV take lists.
NUMPY = "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"
OPENCV = "SSE4.1,SSE4.2,AVX,AVX2,AVX512-SKX,FP16,FMA3"
SETTINGS = (
    {},
    {"ATEN_CPU_CAPABILITY": "default"},
    {"ATEN_CPU_CAPABILITY": "avx2"},
    {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    {"OPENBLAS_CORETYPE": "Nehalem"},
    {"OPENBLAS_CORETYPE": "Haswell"},
    {"OPENBLAS_CORETYPE": "SkylakeX"},
    {"NPY_DISABLE_CPU_FEATURES": NUMPY},
    {"OPENCV_CPU_DISABLE": OPENCV},
)
PROBE = "import numpy; ones = numpy.ones((300, 300)); ones @ ones; import cv2, torch; torch.ones(9) + 1"


def run(setting: dict[str, str], notebooks: list[str]) -> tuple[bool, str]:
    """Whether a setting passes, and the line about it."""
    name = " ".join(f"{key}={shlex.quote(value)}" for key, value in setting.items()) or "as it is"
    build = BUILD / (name.replace("=", "-").replace(" ", "_").replace("'", "")[:60])
    folders = {"IMTEXT_DATA": str(build / "data"), "IMTEXT_RUNS": str(build / "runs"), "CI": "true"}
    environment = os.environ | folders | setting
    if subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True).returncode:
        return True, f"{name}: not on this processor"
    shutil.rmtree(build, ignore_errors=True)
    began = time.monotonic()
    where = ["--build", str(build), *notebooks]
    for step in (["make", "--only", "execute", "--profile", "smoke"], ["compare"]):
        command = [sys.executable, "-m", "imtext", "book", *step, *where]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            break
    said = (done.stderr + done.stdout).strip() if done.returncode else "as committed"
    return done.returncode == 0, f"{name}: {said} ({time.monotonic() - began:.0f} s)"


def main() -> int:
    """Every setting, and a line about each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", help="names of notebooks (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="settings side by side")
    arguments = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        passed = True
        for good, line in pool.map(lambda setting: run(setting, arguments.notebooks), SETTINGS):
            passed &= good
            print(line, flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
