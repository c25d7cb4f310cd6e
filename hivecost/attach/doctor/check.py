"""What a check is given, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from hivecost.backends.places import Place

#: `fail`: hivecost does not do there what it promises; `warn`: it does less than somebody may think.
Status = Literal["ok", "warn", "fail"]


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at."""

    #: The Python that agents run with.
    python: str
    #: The name and version of each package that it has installed.
    packages: Mapping[str, str]
    #: Where the log is.
    place: Place


class Finding(msgspec.Struct, frozen=True):
    """One line of the diagnosis."""

    status: Status
    #: What it is about, such as the name of a package.
    subject: str
    text: str


class Check(Protocol):
    """One thing to look at. What it raises is shown as its finding."""

    @property
    def __name__(self) -> str: ...

    async def __call__(self, environment: Environment) -> Sequence[Finding]:
        """Return what was found."""
        ...
