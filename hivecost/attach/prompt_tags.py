"""A tag that tells system prompts apart without keeping them: which version of a prompt costs what."""

from __future__ import annotations

import hashlib
import hmac
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from hivecost.dialects import ModelRequest
from hivecost.dialects.system_prompt import system_prompt
from hivecost.errors import ConfigError

#: The name of the tag.
TAG: Final = "prompt"
#: In the state folder of a user: whoever has the tags alone cannot try prompts that they guess.
_SALT: Final = "prompt-salt"
_SALT_BYTES: Final = 32
_HASH_CHARS: Final = 16


class PromptTags:
    """Hashes with one salt: the same prompt has the same tag as long as that is kept."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    @classmethod
    def kept_in(cls, folder: Path) -> Self:
        """Return those with the salt that is kept in this folder, made where it is not. Raise ConfigError."""
        path = folder / _SALT
        try:
            if not path.exists():
                _make(path)
            salt = path.read_bytes()
        except OSError as error:
            raise ConfigError("tag-prompts", f"{path} to be a file of its own ({error})") from error
        if len(salt) != _SALT_BYTES:
            raise ConfigError("tag-prompts", f"{_SALT_BYTES} bytes in {path}; remove it, and tags begin anew")
        return cls(salt)

    def of(self, request: ModelRequest) -> Mapping[str, str]:
        """Return the tag of its system prompt; none where it has no system prompt."""
        text = system_prompt(request.prompt)
        if not text:
            return {}
        digest = hmac.new(self._salt, text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
        return {TAG: digest[:_HASH_CHARS]}


def _make(path: Path) -> None:
    """Write a salt, of which another process sees all or nothing, and which no other user reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent) as new:
        new.write(os.urandom(_SALT_BYTES))
        new.flush()
        with suppress(FileExistsError):  # another one was quicker
            path.hardlink_to(new.name)
