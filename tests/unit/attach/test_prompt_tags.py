"""Tags of system prompts: equal for equal ones, and of no use to whoever has them alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hivecost.attach.prompt_tags import PromptTags
from hivecost.dialects import ModelRequest, Route, read_request, recognise
from hivecost.errors import ConfigError


def request(system: str) -> ModelRequest:
    body = {"model": "gpt-4o", "messages": [{"role": "system", "content": system}, {"role": "user", "content": "hi"}]}
    route = recognise("POST", "api.openai.com", "/v1/chat/completions")
    assert isinstance(route, Route)
    read = read_request(route, {}, json.dumps(body).encode())
    assert isinstance(read, ModelRequest)
    return read


def test_the_same_prompt_has_the_same_tag(tmp_path: Path) -> None:
    """Also in the next run, and not for another user, who has another salt."""
    tags = PromptTags.kept_in(tmp_path / "state").of(request("be brief"))
    assert tags == PromptTags.kept_in(tmp_path / "state").of(request("be brief"))
    assert tags != PromptTags.kept_in(tmp_path / "state").of(request("be long"))
    assert tags != PromptTags.kept_in(tmp_path / "other").of(request("be brief"))
    assert (list(tags), len(tags["prompt"])) == (["prompt"], 16)
    assert (tmp_path / "state" / "prompt-salt").stat().st_mode & 0o777 == 0o600
    assert list((tmp_path / "state").iterdir()) == [tmp_path / "state" / "prompt-salt"]
    assert PromptTags.kept_in(tmp_path / "state").of(request("")) == {}
    assert PromptTags.kept_in(tmp_path / "state").of(request("half \ud800"))


def test_a_salt_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """A file that was cut would salt nothing; a folder in its place is none."""
    (tmp_path / "prompt-salt").write_bytes(b"")
    with pytest.raises(ConfigError, match="remove it"):
        PromptTags.kept_in(tmp_path)
    (tmp_path / "folder" / "prompt-salt").mkdir(parents=True)
    with pytest.raises(ConfigError, match="prompt-salt"):
        PromptTags.kept_in(tmp_path / "folder")
