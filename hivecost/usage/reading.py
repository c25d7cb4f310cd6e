"""What a provider's payload said about one turn."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from hivecost.events import Usage


class UsageStatus(StrEnum):
    """How far a reading can be trusted."""

    OK = "ok"
    #: A cut stream: at least this much was used.
    ESTIMATED = "estimated"
    #: The payload says nothing about usage.
    MISSING = "missing"
    #: The counts cannot be; what made sense of them is in `usage`.
    INVALID = "invalid"


class UsagePass(msgspec.Struct, frozen=True):
    """One of several model runs that a turn's bill adds up: priced by itself, as long-context rates go by one run."""

    usage: Usage
    #: "" for the model that answered.
    model: str = ""


class UsageReading(msgspec.Struct, frozen=True, kw_only=True):
    """Usage in canonical form, and what else the payload told that decides its price."""

    #: Of the whole turn.
    usage: Usage = Usage()
    #: The runs that make it up, where it was more than one; else empty.
    passes: tuple[UsagePass, ...] = ()
    #: How many calls a framework summed up; each is billed, and counted, by itself.
    requests: int = 1
    #: What the provider counted of an answer that was cut, where `usage` adds what was read after that.
    counted: Usage | None = None
    status: UsageStatus = UsageStatus.OK
    #: Why the status is not `ok`.
    reason: str = ""
    #: The shape the payload was read as: `openai`, `anthropic`, … ("" when it had none).
    flavor: str = ""
    #: The provider's id of the answer, the same in all its chunks; "" when it gives none.
    answer_id: str = ""
    #: The model that answered; "" when the payload does not say.
    model: str = ""
    #: Named in the answer, or known by what only this host writes; "" where many hosts speak the same shape.
    provider: str = ""
    #: Whom the shape or the model's name hints at: believed only where nobody named a host and this one has the model.
    hinted_provider: str = ""
    #: The tier that was served, in the provider's words.
    service_tier: str = ""
    batch: bool = False
    #: Where inference was kept, in Anthropic's words: `us`, `global`.
    inference_geo: str = ""
    stop_reason: str = ""
    #: The provider's own bill.
    reported_nanousd: int | None = None
    #: Why nothing was billed, of a line of a batch that failed; "" for whatever has, or may have, a bill.
    unbilled: str = ""
    #: The counts of the provider's usage as they came, kept when the status is not `ok`: no text of a prompt.
    raw: dict[str, Any] | None = None
