"""Installed plugins are found by the name of their entry point."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import hivecost as hc
from hivecost.discovery import load_plugin_class


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package that offers plugins: `install("my_meter", meter="my_meter:Meter")`."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(package: str, source: str, **offered: str) -> None:
        Path(tmp_path, f"{package}.py").write_text(source)
        metadata = tmp_path / f"{package}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name.replace('__', '-')} = {value}" for name, value in offered.items()]
        (metadata / "entry_points.txt").write_text("\n".join(["[hivecost.plugins]", *lines]))
        importlib.invalidate_caches()

    yield install
    for name in [name for name in sys.modules if name.startswith("seen_by_")]:
        del sys.modules[name]


METER = """
class Meter:
    name = "meter"

    def __init__(self, port=0):
        self.port = port
"""


@pytest.mark.parametrize("name", ["Meter", "meter", "METER"])
def test_an_installed_plugin_is_an_attribute(install, name):
    """`hivecost.plugins.NAME` is what the package offers, in either case, and is imported no sooner."""
    install("seen_by_case", METER, meter="seen_by_case:Meter")
    assert "seen_by_case" not in sys.modules
    plugin = getattr(hc.plugins, name)(port=8000)
    assert (type(plugin).__module__, plugin.port) == ("seen_by_case", 8000)


def test_a_name_with_a_hyphen_is_written_with_an_underscore(install):
    """`token-meter` can be an attribute, and is listed as one; `register_plugin` takes it either way."""
    install("seen_by_hyphen", METER, token__meter="seen_by_hyphen:Meter")
    assert hc.plugins.Token_Meter is hc.plugins.token_meter is load_plugin_class("token-meter")
    assert "token_meter" in dir(hc.plugins)


def test_dir_lists_what_is_installed(install):
    """And imports none of it."""
    before = set(dir(hc.plugins))
    install("seen_by_dir", METER, meter="seen_by_dir:Meter", another="seen_by_dir:Meter")
    assert set(dir(hc.plugins)) - before == {"meter", "another"}
    assert "seen_by_dir" not in sys.modules


def test_a_missing_plugin_says_how_to_install_it(install):
    """Its pip line, and what there is."""
    install("seen_by_missing", METER, meter="seen_by_missing:Meter")
    with pytest.raises(
        hc.PluginError, match=r"'Prometheus': is not installed \(.*meter.*\); pip install hivecost-prom"
    ):
        hc.plugins.Prometheus(port=8000)
    with pytest.raises(hc.PluginError, match=r"pip install hivecost-token-meter$"):
        hc.plugins.token_meter  # noqa: B018


def test_a_plugin_that_cannot_be_imported_says_why(install):
    """PluginError names where it should have come from, and the error."""
    install("seen_by_error", "import no_such_library", meter="seen_by_error:Meter")
    with pytest.raises(hc.PluginError, match=r"'meter': cannot be imported from seen_by_error:Meter: ModuleNotFound"):
        hc.plugins.meter  # noqa: B018


def test_what_debuggers_ask_for_is_no_plugin():
    """Names with an underscore in front are never looked for."""
    assert not hasattr(hc.plugins, "__wrapped__")
    assert not hasattr(hc.plugins, "_repr_html_")
