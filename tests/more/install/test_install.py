"""Installing on any day: with exactly the pinned files, and without an index that could offer others."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
#: What venv brings with it.
BUNDLED = {"pip", "setuptools"}


def pins(*names: str) -> dict[str, str]:
    """Package → version of everything that these files pin for this machine."""
    lines = re.findall(
        r"^\S+==.*?(?= \\$)", "\n".join((ROOT / "requirements" / name).read_text() for name in names), re.MULTILINE
    )
    requirements = [Requirement(line) for line in lines]
    return {
        canonicalize_name(one.name): next(iter(one.specifier)).version
        for one in requirements
        if one.marker is None or one.marker.evaluate()
    }


def run(*command: str | Path, cwd: Path, env: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def installed(project: Path, env: Mapping[str, str]) -> dict[str, str]:
    lines = run(
        project / ".venv/bin/python", "-m", "pip", "freeze", "--all", "--exclude-editable", cwd=project, env=env
    )
    found = (line.split("==") for line in lines.splitlines() if "==" in line)
    return {canonicalize_name(name): version for name, version in found}


@pytest.mark.timeout(600)
def test_both_environments_install_from_exactly_the_pinned_files(tmp_path: Path) -> None:
    """`make demo` and `make test` install the same on any day: nothing is fetched beyond the pins."""
    files, project = tmp_path / "files", tmp_path / "project"
    core, test = pins("core.txt", "build.txt"), pins("core.txt", "build.txt", "test.txt")
    assert core.items() <= test.items()
    locks = [argument for name in ("core", "build", "test") for argument in ("-r", f"requirements/{name}.txt")]
    download = [
        "-m",
        "pip",
        "download",
        "-q",
        "--require-hashes",
        "--no-deps",
        "--only-binary",
        ":all:",
        "-d",
        str(files),
    ]
    run(sys.executable, *download, *locks, cwd=ROOT, env=os.environ)
    assert len(list(files.iterdir())) == len(test)

    ignored = shutil.ignore_patterns(".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "hivecost-demo")
    shutil.copytree(ROOT, project, ignore=ignored)
    offline = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE"))}
    offline |= {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(files),
        "PIP_NO_CACHE_DIR": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    for target, pinned in ((".venv/.core", core), (".venv/.test", test)):
        run("make", target, f"PYTHON={sys.executable}", cwd=project, env=offline)
        found = installed(project, offline)
        assert found.keys() - BUNDLED == pinned.keys() - BUNDLED
        assert all(found[name] == version for name, version in pinned.items())
    assert run(project / ".venv/bin/hivecost", "--version", cwd=tmp_path, env=offline).strip()
