"""How many tokens a prompt is, by the tokenizer of the model itself: OpenAI's models only (extra `tokens`)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import msgspec

from hivecost.errors import ConfigError
from hivecost.model_names import spellings
from hivecost.plain_text import shown
from hivecost.pricing.bounds import sent_bytes, template_bound
from hivecost.pricing.names import GATEWAYS, PROVIDER_NAMES

_log = logging.getLogger("hivecost.pricing")

#: An extra, of 70 MB once it is imported; each vocabulary comes on top.
_PACKAGE: Final = "bpe_openai"

#: The vocabulary of each family of models, as OpenAI's tiktoken lists them.
_VOCABULARIES: Final = {
    "o200k_base": re.compile(r"(?:(?:chat)?gpt-4o|gpt-4\.[15]|gpt-5|o[134])(?!\w)"),
    "cl100k_base": re.compile(r"gpt-(?:4|3\.5|35)(?![\w.])"),
}

#: Those that are loaded, by name.
_encodings: Final[dict[str, Any]] = {}

#: Where such a name means OpenAI's model.
_HOSTS: Final = GATEWAYS | {"", "azure"}


def count_tokens(prompt: Any, model: str) -> int:
    """Return a tight bound of the tokens of a text prompt, or of messages and tools.

    It is meant for `ctx.turn(model, input_tokens=…)`. A text counts as the model's tokenizer counts it. Messages count
    as their JSON text does, or as all the strings in it do one by one, whichever is more: an upper estimate relative to
    the contents, as OpenAI does not publish how tools are written out. Both get what the chat template may add, and
    neither is ever more than the byte bound of `ctx.turn(prompt=…)`, which also stands in for a text the tokenizer does
    not take (over 200,000 tokens or a million characters).

    The first call for a model's vocabulary loads it from the disk, about a second in which an event loop would stand
    still: make it in a thread before, `await anyio.to_thread.run_sync(hc.count_tokens, "", model)`.

    Raise ConfigError for any model but OpenAI's (others publish no tokenizer that is a proven count), without the
    package bpe-openai, for images, audio and files, and for what is no JSON.
    """
    vocabulary = _vocabulary(model)
    sent = sent_bytes(prompt)
    tokens = _tokens(sent.decode(), vocabulary)
    if not isinstance(prompt, str):
        tokens = max(tokens, sum(_tokens(text, vocabulary) for text in _strings(msgspec.json.decode(sent))))
    return min(tokens, len(sent)) + template_bound(prompt)


def count_text_tokens(text: str, model: str) -> int:
    """Return the tokens of a text alone, without what a chat template adds.

    A text that the tokenizer does not take counts as its bytes. Raise ConfigError as `count_tokens` does.
    """
    return _tokens(text, _vocabulary(model))


def can_count_tokens(model: str, provider: str = "") -> bool:
    """Tell whether `count_tokens` knows this model, asked of this provider, and its package is installed."""
    host = provider.lower()
    return PROVIDER_NAMES.get(host, host) in _HOSTS and _vocabulary_of(model) is not None and has_tokenizer()


def is_vocabulary_loaded(model: str) -> bool:
    """Tell whether the vocabulary of this model is in memory, so that a short prompt is counted in microseconds."""
    return _vocabulary_of(model) in _encodings


@cache
def has_tokenizer() -> bool:
    """Tell whether the package that `count_tokens` counts with is installed."""
    return find_spec(_PACKAGE) is not None


@cache
def import_tokenizer() -> bool:
    """Import what `count_tokens` counts with, once, and say whether it is there: a second, for a thread to wait.

    What is installed and cannot be imported is said, and done without. Vocabularies are loaded by the first count.
    """
    if not has_tokenizer():
        return False
    try:
        for name in (_PACKAGE, f"{_PACKAGE}._bindings"):  # its native part, which else the first count imports
            import_module(name)
    except Exception as error:  # the edge: a stranger's package
        _log.warning("bpe-openai cannot be imported, prompts are bounded by their bytes: %s", shown(error))
        return False
    return True


@lru_cache(maxsize=1_024)
def _vocabulary_of(model: str) -> str | None:
    for host, name in spellings(model.lower()):
        if PROVIDER_NAMES.get(host, host) in _HOSTS:
            for vocabulary, family in _VOCABULARIES.items():
                if family.match(name.removeprefix("ft:")):
                    return vocabulary
    return None


def _vocabulary(model: str) -> str:
    if vocabulary := _vocabulary_of(model):
        return vocabulary
    raise ConfigError(
        "count_tokens(model)",
        "a model of OpenAI's: for others no tokenizer is a proven count, give ctx.turn(input_tokens=…) or (prompt=…)",
        got=model,
    )


def _tokens(text: str, vocabulary: str) -> int:
    encoding = _encoding(vocabulary)
    try:
        return len(encoding.encode_ordinary(text))
    except ValueError:  # too long for the package
        return len(text.encode())


def _encoding(vocabulary: str) -> Any:
    encoding = _encodings.get(vocabulary)
    if encoding is None:
        try:
            package = import_module(_PACKAGE)
        except ImportError:
            raise ConfigError("count_tokens", "the package bpe-openai: pip install 'hivecost[tokens]'") from None
        encoding = _encodings[vocabulary] = package.get_encoding(vocabulary)
    return encoding


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
