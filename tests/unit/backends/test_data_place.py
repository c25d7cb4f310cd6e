"""Where something is kept that nobody named a place for."""

from __future__ import annotations

from pathlib import Path

import pytest

import hivecost as hc
from hivecost.backends.data_place import data_place

STATE = {"XDG_STATE_HOME": "/state"}


@pytest.mark.anyio
async def test_the_first_that_is_said_counts(tmp_path: Path) -> None:
    """An argument, the environment, settings, a log that stands here already, and at last the user's own folder."""
    here = tmp_path / "project" / "inner"
    (here / "data").mkdir(parents=True)
    assert data_place(folder=here, environment=STATE) == Path("/state/hivecost"), "a stranger's folder"
    async with hc.AgentRuntime(here / "data"):
        pass
    assert data_place(folder=here, environment=STATE) == "data"
    settings = tmp_path / "project" / "hivecost.toml"
    settings.write_text("[prices]\n")
    assert data_place(folder=here, environment=STATE) == "data"
    settings.write_text('data = "spent"\n')
    assert data_place(folder=here, environment=STATE) == tmp_path / "project" / "spent"
    settings.write_text('data = "memory://any"\n')
    assert data_place(folder=here, environment=STATE) == "memory://any"
    assert data_place(folder=here, environment={**STATE, "HIVECOST_DATA": "there"}) == "there"
    assert data_place("mine", folder=here, environment={**STATE, "HIVECOST_DATA": "there"}) == "mine"


def test_settings_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """They may say another place."""
    (tmp_path / "hivecost.toml").write_text("data = ")
    with pytest.raises(hc.ConfigError, match=r"hivecost\.toml"):
        data_place(folder=tmp_path, environment=STATE)


def test_a_folder_for_all_users_has_no_settings(tmp_path: Path) -> None:
    """Anybody could have put them there."""
    tmp_path.chmod(0o777)
    (tmp_path / "hivecost.toml").write_text('data = "theirs"\n')
    assert data_place(folder=tmp_path, environment=STATE) == Path("/state/hivecost")
