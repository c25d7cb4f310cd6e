"""The public names are those that `__all__` says, sorted, and importing them is cheap."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import hivecost

PACKAGES = ["hivecost", *(m.name for m in pkgutil.iter_modules(hivecost.__path__, "hivecost.") if m.ispkg)]


def _constants_then_classes(name: str) -> tuple[bool, bool, str]:
    return not name.isupper(), not name[0].isupper(), name


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_complete_and_sorted(name):
    """`__all__` lists what the package hands on, in order, and everything in it exists."""
    package = importlib.import_module(name)
    exported = package.__all__
    assert exported == sorted(exported, key=_constants_then_classes)
    assert len(set(exported)) == len(exported)
    assert all(hasattr(package, member) for member in exported)


@pytest.mark.parametrize("name", ["backends.sqlite", "cli.render", "reports"])
def test_every_name_of_a_lazy_room_has_a_home(name):
    """Its table, its `__all__` and its imports for type checkers agree."""
    room = importlib.import_module(f"hivecost.{name}")
    typed = {
        (alias.name, node.module)
        for block in ast.parse(Path(room.__file__).read_text()).body
        if isinstance(block, ast.If)
        for node in block.body
        for alias in node.names
    }
    assert typed == {(member, module) for module, members in room._MODULES.items() for member in members}
    assert sorted(member for member, _ in typed) == sorted(room.__all__)
    # Importing a module puts it into the room, in the place of a name of its own.
    assert not {module.name for module in pkgutil.iter_modules(room.__path__)} & {*room.__all__}


def test_every_public_name_is_what_type_checkers_see():
    """The stub is the one list: each of its names is re-exported, and is the object of that name in its room."""
    tree = ast.parse(Path(hivecost.__file__).with_suffix(".pyi").read_text())
    listed = {
        alias.asname: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert sorted(listed) == sorted(hivecost.__all__)
    for name, room in listed.items():
        assert getattr(hivecost, name) is getattr(importlib.import_module(room), name)


def test_a_name_that_is_not_public_is_an_error():
    """As of any other module."""
    with pytest.raises(AttributeError, match="module 'hivecost' has no attribute 'AgentRuntim'"):
        _ = hivecost.AgentRuntim
    assert not hasattr(hivecost, "_anything")


def test_importing_hivecost_leaves_the_heavy_libraries_alone():
    """`import hivecost` loads neither the price library nor its own dependencies, nor the CLI's."""
    heavy = ["genai_prices", "pydantic", "httpx2", "httpx", "rich", "typer", "trio", "openai", "anthropic"]
    code = f"import hivecost, sys; hivecost.AgentRuntime; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
