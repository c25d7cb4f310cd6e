"""How the emulator counts: a token is four characters."""

from __future__ import annotations

from typing import Final

CHARACTERS_PER_TOKEN: Final = 4

#: What every prompt costs on top of its text.
PROMPT_OVERHEAD_TOKENS: Final = 8

_LOREM: Final = (
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna "
)


def count_tokens(text: str) -> int:
    """Return the number of tokens: four characters are one, and a begun one counts."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def prompt_tokens(*parts: object) -> int:
    """Return a prompt's count: `PROMPT_OVERHEAD_TOKENS`, and the characters of all strings in `parts` over four.

    `parts` are the JSON values of the request that the model reads: messages, system prompt, tools. Keys do not count,
    values do at any depth, roles included.
    """
    characters = 0
    waiting = list(parts)
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            characters += len(part)
        elif isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list | tuple):
            waiting += part
    return PROMPT_OVERHEAD_TOKENS - (-characters // CHARACTERS_PER_TOKEN)


def split_tokens(text: str) -> list[str]:
    """Return the text as a list of its tokens, which joined are the text."""
    return [text[at : at + CHARACTERS_PER_TOKEN] for at in range(0, len(text), CHARACTERS_PER_TOKEN)]


def lorem(tokens: int) -> str:
    """Return a text of exactly so many tokens, always the same."""
    length = tokens * CHARACTERS_PER_TOKEN
    return (_LOREM * (length // len(_LOREM) + 1))[:length]
