"""What a hook asks before an attempt is sent, and tells after it: the one contract between doors and ledgers.

In process it is these calls; over a socket `meter_socket` carries them. A hook knows nothing of prices, budgets or
providers: it passes on what is about to be sent, and what came back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from hivecost.dialects import RefusalAnswer, RefusalKind
from hivecost.frozen import EMPTY


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request that is about to be sent."""

    method: str
    #: With its port, where it has one.
    host: str
    #: With its query.
    path: str
    headers: Mapping[str, str] = EMPTY
    #: None: it is a stream, which cannot be read before it is sent.
    body: bytes | None = None
    #: Its stream can be ended in the middle, and so be paid for in steps.
    can_step: bool = False
    #: The step of the agent that it is part of, where the hook knows.
    node: str = ""
    #: Which of the program's agents makes it, where a framework says; else the program is one.
    agent: str = ""
    #: The conversation that it is part of, and whose it is, where a framework says.
    session: str = ""
    user: str = ""
    #: What the program says of it besides, such as `{"customer": "acme"}`.
    tags: Mapping[str, str] = EMPTY
    #: The line of code that made it, as `agent.py:12`.
    where: str = ""
    #: Frameworks of which the hook could not read who makes it.
    failed_probes: int = 0


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt must not be sent; `answer` is what its client gets instead."""

    kind: RefusalKind
    message: str
    retry_after_s: float | None = None
    answer: RefusalAnswer
    #: Of the account that refused, as BudgetExceededError has them.
    budget: str = ""
    needed: int = 0
    remaining: int = 0


class Pass(Protocol):
    """The attempt may be sent. Told once how it went; each of these is synchronous, and nothing after an end counts."""

    @property
    def body(self) -> bytes | None:
        """What to send instead of its body, with a limit or a question for usage in it; None: as it is."""
        ...

    @property
    def asks_stream(self) -> bool:
        """Whether a stream was asked for."""
        ...

    @property
    def asks_usage(self) -> bool:
        """Whether `body` asks for usage, of which the client did not: the chunk that says it is none of its own."""
        ...

    def answer(self, status: int, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Tell that an answer has begun, and return the headers for the client."""
        ...

    def data(self, data: bytes) -> bytes:
        """Tell the next bytes of the answer, and return those for the client."""
        ...

    @property
    def is_stepped(self) -> bool:
        """Whether its stream is paid for in steps: each piece is then told by `step`."""
        ...

    async def step(self, data: bytes) -> tuple[bytes, bool]:
        """Do as `data`, and return besides whether the budget has ended the stream: what comes then is not paid for."""
        ...

    def end(self) -> bytes:
        """Tell that the answer is whole, and return the bytes for the client that are left."""
        ...

    def unsent(self) -> None:
        """Tell that nothing was sent: what was held is given back."""
        ...

    def doubt(self, why: str) -> None:
        """Tell that nobody knows what was billed: what was held stays held."""
        ...


class Meter(Protocol):
    """Whoever decides."""

    async def ask(self, attempt: Attempt) -> Pass | Refused | None:
        """Return when it is decided, which may wait for money that others hold; None: it is no paid call."""
        ...
