"""A reading in the making: counts are taken with suspicion, and every fault is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from math import isfinite
from typing import Any, Final

from hivecost.events import TOKENS_PER_TURN_MAX, USAGE_FIELDS, Usage, usage_problem
from hivecost.money import TURN_COST_MAX_NANOUSD
from hivecost.plain_text import shown
from hivecost.usage.detection import answer_id_of
from hivecost.usage.reading import UsageReading, UsageStatus
from hivecost.usage.views import plain, text, view

#: (part, whole): a part is cut to its whole when a reading is impossible.
_WHOLES: Final = (
    ("cache_write_1h_tokens", "cache_write_tokens"),
    ("reasoning_tokens", "output_tokens"),
    ("input_audio_tokens", "input_tokens"),
    ("output_audio_tokens", "output_tokens"),
    ("cache_audio_read_tokens", "cache_read_tokens"),
    ("input_image_tokens", "input_tokens"),
    ("output_image_tokens", "output_tokens"),
    ("tool_use_prompt_tokens", "input_tokens"),
)


class UsageBuilder:
    """What a flavor's reader fills in. `response` is the whole answer, `usage` its usage part; either may be empty."""

    def __init__(self, response: Mapping[str, Any], usage: Mapping[str, Any], flavor: str) -> None:
        self.response = response
        self.usage = usage
        self.flavor = flavor
        self.answer_id = answer_id_of(response) or answer_id_of(usage)
        self.model = text(response.get("model"))
        self.provider = ""
        self.service_tier = text(response.get("service_tier"))
        self.batch = False
        self.inference_geo = ""
        self.stop_reason = ""
        self.reported_nanousd: int | None = None
        self.estimate_reason = ""
        self._counts: dict[str, int] = dict.fromkeys(USAGE_FIELDS, 0)
        self._problems: list[str] = []
        self._seen = False

    def __getitem__(self, field: str) -> int:
        return self._counts[field]

    def add(self, field: str, value: object, name: str) -> int:
        """Add a foreign count to a field of Usage; gives what was added. Nothing is added for None."""
        if value is None:
            return 0
        self._seen = True
        count = self._checked(value, name)
        self._counts[field] += count
        return count

    def take(self, field: str, *path: str, of: Mapping[str, Any] | None = None) -> int:
        """Add the count at a path of the usage part (or of `of`); gives what was added."""
        value: object = self.usage if of is None else of
        for step in path:
            value = view(value).get(step)
        return self.add(field, value, ".".join(path))

    def report_usd(self, value: object) -> None:
        """The provider's own bill in USD; refused, with a note, when it is no sane amount."""
        if value is None:
            return
        nanousd = nanousd_of(value)
        if nanousd is not None:
            self.reported_nanousd = (self.reported_nanousd or 0) + nanousd

    def finished(self) -> UsageReading:
        """The reading: `missing` when no count was there, `invalid` with the first fault, else `ok`."""
        if not self._seen:
            return self._reading(Usage(), UsageStatus.MISSING, "the payload says nothing about usage")
        counts = tuple(self._counts.values())
        problem = self._problems[0] if self._problems else usage_problem(counts)
        if problem:
            return self._reading(_possible(self._counts), UsageStatus.INVALID, problem)
        usage = Usage(*counts)
        if self.estimate_reason:
            return self._reading(usage, UsageStatus.ESTIMATED, self.estimate_reason)
        return self._reading(usage, UsageStatus.OK, "")

    def _reading(self, usage: Usage, status: UsageStatus, reason: str) -> UsageReading:
        return UsageReading(
            usage=usage,
            status=status,
            reason=reason,
            flavor=self.flavor,
            answer_id=self.answer_id,
            model=self.model,
            provider=self.provider,
            service_tier=self.service_tier,
            batch=self.batch,
            inference_geo=self.inference_geo,
            stop_reason=self.stop_reason,
            reported_nanousd=self.reported_nanousd,
            raw=None if status is UsageStatus.OK or not self.usage else plain(self.usage),
        )

    def _checked(self, value: object, name: str) -> int:
        """The value as a count, 0 with a remembered fault when it is none."""
        whole = type(value) is float and isfinite(value) and value.is_integer()
        if type(value) is not int and not whole:
            self._problems.append(f"{name} must be a whole number, got {shown(value, 60)}")
            return 0
        count: int = int(value)  # type: ignore[call-overload]  # an int or a whole float, checked above
        if not 0 <= count <= TOKENS_PER_TURN_MAX:
            self._problems.append(f"{name} must be between 0 and {TOKENS_PER_TURN_MAX:,}, got {shown(count, 60)}")
            return 0
        return count


def nanousd_of(value: object) -> int | None:
    """A foreign amount in USD as nano-USD; None when it is no finite, non-negative, believable number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        usd = Decimal(str(value).strip())
    except (InvalidOperation, ValueError):  # the second for an integer that Python does not write out
        return None
    if not usd.is_finite() or usd < 0 or usd > TURN_COST_MAX_NANOUSD:
        return None
    nanousd = int(usd.scaleb(9).to_integral_value(ROUND_HALF_EVEN))
    return nanousd if nanousd <= TURN_COST_MAX_NANOUSD else None


def _possible(counts: Mapping[str, int]) -> Usage:
    """The nearest usage that can be: parts are cut to what includes them."""
    kept = {name: min(count, TOKENS_PER_TURN_MAX) for name, count in counts.items()}
    kept["cache_read_tokens"] = min(kept["cache_read_tokens"], kept["input_tokens"])
    kept["cache_write_tokens"] = min(kept["cache_write_tokens"], kept["input_tokens"] - kept["cache_read_tokens"])
    for part, whole in _WHOLES:
        kept[part] = min(kept[part], kept[whole])
    return Usage(**kept)
