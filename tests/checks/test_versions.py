"""The core and its plugins are released together, under one version."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import hivecost

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml"))


def project(folder: Path) -> dict[str, object]:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def test_the_version_is_that_of_the_package() -> None:
    """`hivecost.__version__` and pyproject.toml say the same."""
    assert hivecost.__version__ == project(ROOT)["version"]


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_has_the_version_of_the_core_and_asks_for_it(name: str) -> None:
    """It takes every release of this minor version of the core, and none of the next or the one before."""
    plugin = project(ROOT / "plugins" / name)
    assert plugin["version"] == hivecost.__version__
    core = Version(hivecost.__version__)
    (asked,) = (one for one in map(Requirement, plugin["dependencies"]) if one.name == "hivecost")
    others = f"{core.major}.{core.minor + 1}", f"{core.major}.{core.minor - 1}.99"
    taken = hivecost.__version__, f"{core.major}.{core.minor}.0", f"{core.major}.{core.minor}.99"
    assert all(asked.specifier.contains(version, prereleases=True) for version in taken)
    assert not any(asked.specifier.contains(version, prereleases=True) for version in others)


def test_there_are_plugins() -> None:
    """The template at least."""
    assert "_template" in PLUGINS
