"""From a path or a URL to the backend that serves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hivecost.backends import Backend, as_place, open_backend, open_log, opening, register_backend
from hivecost.backends.memory import MemoryBackend, MemoryLog
from hivecost.backends.sqlite.backend import SQLiteBackend
from hivecost.backends.sqlite.reading.log_reader import SQLiteLogReader
from hivecost.errors import ConfigError


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package that serves `mine://` from what is at `value`."""

    def install(value):
        information = tmp_path / "mine-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[{opening.ENTRY_POINT_GROUP}]\nmine = {value}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """What a test registers is its own."""
    monkeypatch.setattr(opening, "_registered", {})


def open_mine(url: str) -> Backend:
    """What an entry point names in these tests."""
    return MemoryBackend(url.replace("mine", "memory"))


@pytest.mark.parametrize("place", ["data", "/tmp/data", "./C:/data", "C://data", "memory:/x", "", Path("memory://x")])
def test_what_is_no_url_is_a_folder(place):
    """A drive of Windows too, and what pathlib makes of a URL."""
    assert isinstance(open_backend(place), SQLiteBackend)
    assert isinstance(open_log(place), SQLiteLogReader)
    assert as_place(place) == Path(place)


def test_a_name_in_memory_is_one_place_in_the_process():
    """Whoever opens it, and in whatever case its scheme is written; another name is another."""
    one, same, other = (open_backend(url) for url in ("memory://one", "memory://one", "memory://other"))
    assert one is same is not other
    assert isinstance(open_log("memory://one"), MemoryLog)
    assert isinstance(open_backend("Memory://one"), MemoryBackend)
    assert as_place("memory://one") == one.name == "memory://one"


def test_a_package_serves_its_scheme(install):
    """It is given the URL as it was written."""
    install(f"{__name__}:open_mine")
    assert open_backend("mine://host/db?x=1").name == "memory://host/db?x=1"
    assert isinstance(open_log("mine://host"), MemoryLog)


def test_what_a_process_registers_comes_first(install):
    """Before what is installed; no other scheme is touched."""
    install("not.there:at_all")
    register_backend("mine", open_mine)
    assert open_backend("mine://x").name == "memory://x"
    for wrong in ("Mine", "m", "", "mine://", "a b"):
        with pytest.raises(ConfigError, match="scheme: expected small letters"):
            register_backend(wrong, open_mine)


def test_a_scheme_that_nobody_serves_is_named(install):
    """With what is installed, and the command that installs what is not."""
    install(f"{__name__}:open_mine")
    for open_any in (open_backend, open_log):
        with pytest.raises(ConfigError) as refused:
            open_any("postgres+ssl://host/db")
        assert str(refused.value) == (
            "base_path: expected a folder, or a URL of memory://, mine:// (installed); pip install hivecost-postgres,"
            " got 'postgres+ssl://host/db'"
        )


def test_a_package_that_cannot_be_imported_is_named(install):
    """With the module, and what went wrong in it."""
    install("not.there:at_all")
    with pytest.raises(ConfigError, match=r"not\.there:at_all cannot: ModuleNotFoundError"):
        open_backend("mine://x")
