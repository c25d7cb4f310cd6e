"""Usage of answers that came without any: a guess, from what was read and from what the caller said of the prompt."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from hivecost.events import FROM_ALL, FROM_ANSWER, Usage
from hivecost.usage.deltas import generated_bytes
from hivecost.usage.reading import UsageReading, UsageStatus
from hivecost.usage.views import decoded, view

#: Of UTF-8. English prose has four or five, code and most other scripts three; too many tokens are better than too few.
BYTES_PER_TOKEN: Final = 3


def tokens_of(size: int) -> int:
    """Return about how many tokens so many bytes are."""
    return -(-size // BYTES_PER_TOKEN)


def size_of_answer(response: object) -> int:
    """Return the bytes of UTF-8 of a whole answer, in any provider's shape; 0 where nobody can tell.

    Never raise.
    """
    with suppress(Exception):  # a stranger's object may raise anything
        return generated_bytes(view(decoded(response)))
    return 0


def estimated(reading: UsageReading, answer_bytes: int, prompt_tokens: int) -> UsageReading:
    """Return the reading; where it says nothing of usage and something was read, with usage that is estimated.

    `prompt_tokens` is 0 where nobody said how long the prompt was; the estimate is then of the answer alone.
    """
    if reading.status is not UsageStatus.MISSING or not answer_bytes:
        return reading
    return replace(
        reading,
        usage=Usage(prompt_tokens, tokens_of(answer_bytes)),
        status=UsageStatus.ESTIMATED,
        reason=FROM_ALL if prompt_tokens else FROM_ANSWER,
    )
