"""The hook as a file in a stranger's environment."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import anyio
import pytest

from hivecost.attach.command import HOOK

FILES = sorted(HOOK.rglob("*.py"))
#: Clients that it patches, which are imported where they are loaded already.
CLIENTS = {"requests", "urllib3", "aiohttp", "multidict", "botocore"}
#: Of the standard library since Python 3.10.
NEWER = {"aiter", "anext", "slots", "kw_only", "ExceptionGroup", "TaskGroup", "removesuffix_", "pairwise", "tomllib"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_is_python_3_9(path: Path) -> None:
    """Its grammar, and no name that came later."""
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Match)]
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    assert not NEWER & (names | attributes | keywords)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_needs_the_standard_library_alone(path: Path) -> None:
    """But for the clients that it patches."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module or "")
    roots = {name.partition(".")[0] for name in imported}
    assert roots <= {*sys.stdlib_module_names, *CLIENTS, "hivecost_hook"}


@pytest.mark.usefixtures("hook_path")
def test_a_module_is_patched_when_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its own code has run, with its own loader; one that is imported already at once."""
    from hivecost_hook.importing import _Finder, when_imported

    (tmp_path / "late_client.py").write_text("value = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    seen = []
    when_imported("late_client", lambda module: seen.append(module.value))
    when_imported("no_such_client", seen.append)
    when_imported("ast", lambda module: seen.append(module.__name__))
    assert seen == ["ast"]
    import late_client

    try:
        assert seen == ["ast", 1]
        assert late_client.__spec__.loader is late_client.__loader__
        assert type(late_client.__loader__).__name__ == "SourceFileLoader"
        with pytest.raises(ModuleNotFoundError):
            import no_such_client  # noqa: F401  # there is none
        assert _Finder in sys.meta_path
    finally:
        del sys.modules["late_client"]


@pytest.mark.usefixtures("hook_path")
def test_an_error_becomes_ours_where_its_class_allows() -> None:
    """It keeps its class, and carries what the budget said."""
    from hivecost_hook.refusals import also_ours

    import hivecost

    class StatusError(Exception):
        pass

    details = {"kind": "exhausted", "budget": "team", "needed": 5, "remaining": 3}
    error = also_ours(StatusError("no"), details)
    assert isinstance(error, StatusError)
    assert isinstance(error, hivecost.BudgetExceededError)
    assert (error.budget, error.needed, error.remaining, str(error)) == ("team", 5, 3, "no")
    assert type(also_ours(OSError("no"), details)) is OSError


@pytest.mark.usefixtures("hook_path")
@pytest.mark.anyio
async def test_names_and_tags_hold_for_what_is_inside() -> None:
    """As a context manager and as a decorator, of functions and of coroutine functions; tags add up."""
    from hivecost_hook.attribution import attributed

    import hivecost as hc

    def said():
        known = attributed()
        return known.get("node", ""), known.get("tags", {})

    @hc.tag(customer="acme")
    def function():
        return said()

    @hc.node("write")
    async def coroutine(depth: int):
        if depth:
            return await coroutine(depth - 1)
        await anyio.sleep(0)
        return said()

    with hc.node("plan"), hc.tag(team="blue", customer="other"):
        assert said() == ("plan", {"team": "blue", "customer": "other"})
        assert function() == ("plan", {"team": "blue", "customer": "acme"})
        assert await coroutine(2) == ("write", {"team": "blue", "customer": "other"})
    assert said() == ("", {})
    with pytest.raises(hc.ConfigError, match="user"):
        hc.tag(user="bob")
