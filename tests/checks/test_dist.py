"""What is released: the library and its data, and nothing that lies beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What lies in a working copy, and would go to everybody.
LOCAL = (
    ".env",
    "notes.txt",
    "hivecost-demo/hivecost.db",
    "hivecost/data/hivecost.db",
    "hivecost/backends/sqlite/log/__pycache__/appender.cpython-313.pyc",
    "tests/hivecost/README.md",
    "tests/LICENSE",
)


def build(project: Path, kind: str, into: Path) -> Path:
    """The one file that is built, with what is installed: nothing is fetched."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", into]
    done = subprocess.run(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    (built,) = into.iterdir()
    return built


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """The names in the sdist and in the wheel that is built from it."""
    place = tmp_path_factory.mktemp("dist")
    project = place / "project"
    ignored = shutil.ignore_patterns(
        ".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "hivecost-demo", "dist"
    )
    shutil.copytree(ROOT, project, ignore=ignored)
    for name in LOCAL:
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    with tarfile.open(build(project, "sdist", place / "sdist")) as archive:
        archive.extractall(place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    files = {str(file.relative_to(unpacked)) for file in unpacked.rglob("*") if file.is_file()}
    with zipfile.ZipFile(build(unpacked, "wheel", place / "wheel")) as wheel:
        return files, set(wheel.namelist())


def library() -> set[str]:
    """Python and its one stub, SQL, JSON and the mark of typed packages."""
    files = {
        path for path in (ROOT / "hivecost").rglob("*") if path.suffix in {".py", ".pyi", ".sql", ".json", ".typed"}
    }
    return {str(path.relative_to(ROOT)) for path in files}


def test_the_wheel_has_the_library_and_nothing_else(released: tuple[set[str], set[str]]) -> None:
    """Every module with the migrations, tables and types it needs; no test, benchmark or local file."""
    _, wheel = released
    about = {name for name in wheel if ".dist-info/" in name}
    assert wheel - about == library()
    assert {"METADATA", "RECORD", "WHEEL", "LICENSE", "entry_points.txt"} == {Path(name).name for name in about}
    assert {"hivecost/py.typed", "hivecost/pricing/model_limits.json"} < wheel
    assert "hivecost/backends/sqlite/migrations/0001_runtime_log.sql" in wheel


def test_the_sdist_has_what_the_wheel_is_built_from(released: tuple[set[str], set[str]]) -> None:
    """The library, what its readers look for first, and how it is built."""
    sdist, _ = released
    beside = {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", ".gitignore", "PKG-INFO"}
    assert sdist == library() | beside
