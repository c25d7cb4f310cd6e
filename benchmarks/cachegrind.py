"""The machine instructions of a Python command, counted by valgrind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


class ValgrindMissingError(Exception):
    """Nothing can be counted here; says what to install."""


def instructions_of(arguments: Sequence[str], bytecode: Path) -> int:
    """What `python …` executes in all its threads, without the kernel's part. The folder takes compiled modules.

    Raises ValgrindMissingError, and subprocess.CalledProcessError with its stderr when the command fails.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise ValgrindMissingError("valgrind counts the instructions; install it (on Debian: apt install valgrind)")
    _run([sys.executable, *arguments], bytecode)  # compiles: of two counts, only the first would have that in it
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "counts")
        count = [valgrind, "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={out}"]
        _run([*count, sys.executable, *arguments], bytecode)
        return total_of(out.read_text())


def _run(command: Sequence[str], bytecode: Path) -> None:
    alike = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(bytecode)}
    subprocess.run(command, env=os.environ | alike, check=True, capture_output=True, text=True)


def total_of(counts: str) -> int:
    """The sum of a file that cachegrind wrote. Raises ValueError when it has none: its process was killed."""
    for line in reversed(counts.splitlines()):
        if line.startswith("summary:"):
            return int(line.split()[1])
    raise ValueError("cachegrind wrote no summary: the counted process did not end by itself")
