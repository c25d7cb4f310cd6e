"""Lock files of runtimes: what is left of the dead is cleared away, and never kept alive."""

from __future__ import annotations

from pathlib import Path

import pytest

from hivecost.backends.sqlite import living
from hivecost.backends.sqlite.file_locks import is_locked

pytestmark = pytest.mark.anyio
DEAD = "0123456789abcdef.lock"


async def test_the_files_of_the_dead_are_cleared_away(tmp_path):
    """And nobody else's."""
    folder = tmp_path / "runtimes"
    folder.mkdir()
    for name in (DEAD, "notes.txt", "x.lock"):
        (folder / name).touch()
    async with living(tmp_path) as runtime_id:
        assert {path.name for path in folder.iterdir()} == {f"{runtime_id}.lock", "notes.txt", "x.lock"}
        assert is_locked(folder / f"{runtime_id}.lock")
    assert {path.name for path in folder.iterdir()} == {"notes.txt", "x.lock"}


async def test_a_file_that_cannot_be_cleared_away_is_not_kept_locked(tmp_path, monkeypatch):
    """As in a folder of several users, or on Windows: its runtime is dead all the same."""
    folder = tmp_path / "runtimes"
    folder.mkdir()
    (folder / DEAD).touch()
    real = Path.unlink

    def unlink(path, **options):
        if path.name == DEAD:
            raise PermissionError(path)
        real(path, **options)

    monkeypatch.setattr(Path, "unlink", unlink)
    async with living(tmp_path) as runtime_id:
        assert runtime_id
        assert not is_locked(folder / DEAD)
