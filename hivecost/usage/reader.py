"""Usage out of whatever a provider answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from hivecost.errors import ConfigError
from hivecost.events import TOKENS_PER_TURN_MAX, USAGE_FIELDS, Usage, usage_problem
from hivecost.plain_text import shown
from hivecost.usage.bills import reported_nanousd
from hivecost.usage.counts import Counts
from hivecost.usage.detection import Found, answer_id_of, find_usage, flavor_of, why_no_turn
from hivecost.usage.failed_lines import why_unbilled
from hivecost.usage.fees import Fees
from hivecost.usage.identity import identity_of
from hivecost.usage.passes import ENTRIES, ITERATIONS, model_of, runs_in, split
from hivecost.usage.reading import UsagePass, UsageReading, UsageStatus
from hivecost.usage.totals import placed
from hivecost.usage.views import body_of, decoded, plain, view

#: The shapes that are known, by name. A shape says what stands beside what where no total does; counts go by one table.
FLAVORS: Final = (
    "anthropic", "bedrock", "canonical", "cohere", "deepseek", "gemini", "interactions", "litellm", "llama", "mistral",
    "ollama", "openai", "openrouter", "otel", "perplexity", "responses", "spans", "xai",
)  # fmt: skip

_SAYS_NOTHING: Final = "the payload says nothing about usage"
_COUNT_FIELDS: Final = frozenset(USAGE_FIELDS)
#: (part, whole): a part is cut to its whole when a reading is impossible.
_WHOLES: Final = (
    ("cache_write_1h_tokens", "cache_write_tokens"),
    ("reasoning_tokens", "output_tokens"),
    ("citation_tokens", "output_tokens"),
    ("input_audio_tokens", "input_tokens"),
    ("input_image_tokens", "input_tokens"),
    ("input_video_tokens", "input_tokens"),
    ("tool_use_prompt_tokens", "input_tokens"),
    ("output_audio_tokens", "output_tokens"),
    ("output_image_tokens", "output_tokens"),
    ("output_video_tokens", "output_tokens"),
    ("cache_audio_read_tokens", "cache_read_tokens"),
    ("cache_image_read_tokens", "cache_read_tokens"),
    ("cache_video_read_tokens", "cache_read_tokens"),
)


def read_usage(payload: object, *, flavor: str | None = None) -> UsageReading:
    """The usage in a provider's answer: dict, SDK object, JSON text or `Usage`, the whole or only its usage part.

    A list is read as the chunks of a stream. `flavor` is one of FLAVORS; None detects it. Whatever a provider may send
    gives a reading and no exception: `missing` without usage, `invalid` for counts that cannot be, `estimated` where
    something is billed that was not read, or where totals and their parts disagree. A failed line of a batch says that
    it is `unbilled`. Raises ConfigError for a flavor that is none.
    """
    if flavor is not None and flavor not in FLAVORS:
        raise ConfigError("flavor", f"one of {', '.join(FLAVORS)}", got=flavor)
    try:
        if isinstance(payload, UsageReading):
            return payload
        if isinstance(payload, Usage):
            return UsageReading(usage=payload, flavor="canonical")
        return _read(decoded(body_of(payload)), flavor)
    except Exception as error:  # a stranger's object may raise anything from a property
        return UsageReading(
            status=UsageStatus.INVALID,
            reason=f"cannot be read: {shown(error)}",
            raw={"payload": shown(payload, 1_000)},
        )


def _read(payload: object, flavor: str | None) -> UsageReading:
    if isinstance(payload, list | tuple) and payload:
        return _read_chunks(payload, flavor)
    found = find_usage(payload)
    unbilled = "" if found.usage else why_unbilled(payload)
    if unbilled:
        return UsageReading(unbilled=unbilled, batch=True, raw=plain(payload))
    detected = flavor or flavor_of(found)
    no_turn = "" if flavor else why_no_turn(found)
    if not detected or no_turn:
        parts = view(found.usage) or view(payload)
        raw = plain(parts) if found.usage else None
        reason, answer_id = no_turn or _SAYS_NOTHING, answer_id_of(found.response)
        return UsageReading(status=UsageStatus.MISSING, reason=reason, answer_id=answer_id, raw=raw)
    found = found if found.usage or not flavor else Found(found.response, found.response)
    reading = read_found(found, detected)
    if flavor == "canonical":
        reading = _of_our_own(reading, found.usage)
    return replace(reading, batch=True) if found.batch else reading


def _of_our_own(reading: UsageReading, usage: Mapping[str, Any]) -> UsageReading:
    """Whoever says that the names are ours means no others: a slip of one must not pass for a count of zero."""
    strange = next((name for name, count in usage.items() if name not in _COUNT_FIELDS and count is not None), None)
    texts = [
        f"{name} must be a whole number, got {shown(count, 60)}" for name, count in usage.items() if type(count) is str
    ]
    if reading.status is UsageStatus.INVALID or (strange is None and not texts):
        return reading
    reason = (
        texts[0]
        if strange is None
        else f"{shown(strange, 60)} is no count of hivecost.Usage: {', '.join(USAGE_FIELDS)}"
    )
    return _with_raw(replace(reading, status=UsageStatus.INVALID, reason=reason), usage)


def _read_chunks(chunks: list[Any] | tuple[Any, ...], flavor: str | None) -> UsageReading:
    """The answer that came as a list of chunks, as Gemini's streams do where nobody asked for events."""
    from hivecost.usage.streams import UsageStream  # noqa: PLC0415  # which reads by `read_usage`

    stream = UsageStream(flavor=flavor)
    for chunk in chunks:
        stream.observe(chunk)
    return stream.reading()


def read_found(found: Found, flavor: str) -> UsageReading:
    """The usage part, as one of this shape."""
    response, usage = found.response, found.usage
    facts = identity_of(response, usage, flavor)
    reading = UsageReading(
        flavor=flavor,
        answer_id=answer_id_of(response) or answer_id_of(usage),
        model=facts.model,
        provider=facts.provider,
        hinted_provider=facts.hinted_provider,
        service_tier=facts.service_tier,
        inference_geo=facts.inference_geo,
        stop_reason=facts.stop_reason,
        reported_nanousd=reported_nanousd(response, usage),
    )
    counts, fees = _counted(response, usage, flavor, facts.model)
    thinks = "gemini" in (facts.model or facts.hinted_provider or facts.provider).lower() or flavor == "interactions"
    inclusive, doubt = placed(counts, flavor, hides_thoughts=thinks)
    for field, count in fees.counts.items():
        inclusive[field] = max(inclusive.get(field, 0), count)
    if not _COUNT_FIELDS & inclusive.keys():
        return _with_raw(replace(reading, status=UsageStatus.MISSING, reason=_SAYS_NOTHING), usage)
    numbers = tuple(inclusive.get(field, 0) for field in USAGE_FIELDS)
    problem = counts.problems[0] if counts.problems else usage_problem(numbers)
    if problem:
        return _with_raw(
            replace(reading, usage=_possible(inclusive), status=UsageStatus.INVALID, reason=problem), usage
        )
    reading = replace(reading, usage=Usage(*numbers))
    reading, runs_doubt = _with_runs(reading, usage, counts["requests"])
    reason = "; ".join(filter(None, (doubt, runs_doubt, counts.unread_reason, fees.reason)))
    if reason:
        return _with_raw(replace(reading, status=UsageStatus.ESTIMATED, reason=reason), usage)
    return reading


def _counted(response: Mapping[str, Any], usage: Mapping[str, Any], flavor: str, model: str) -> tuple[Counts, Fees]:
    counts, fees = Counts(), Fees()
    counts.take(usage)
    if flavor == "cohere":
        _take_cohere(counts, usage)
    if tools := view(response.get("tool_usage")):
        counts.take(tools)
    fees.read(response, model)
    return counts, fees


def _take_cohere(counts: Counts, usage: Mapping[str, Any]) -> None:
    """What the model saw is no part of what is billed: neither its tokens, nor how many of them were cached."""
    if view(usage.get("billed_units")):
        counts.found.pop("cache_read_tokens", None)
    else:
        counts.take(view(usage.get("tokens")))


def _with_runs(reading: UsageReading, usage: Mapping[str, Any], requests: int) -> tuple[UsageReading, str]:
    """The reading with the runs that make it up, and what is in doubt of them."""
    if iterations := runs_in(usage, ITERATIONS):
        return _with_passes(reading, iterations)
    if entries := runs_in(usage, ENTRIES):
        passes = tuple(UsagePass(_run(reading.flavor, entry).usage) for entry in entries)
        reading = replace(reading, passes=passes, requests=max(requests, len(passes)))
        total = sum((run.usage for run in passes), Usage())
        if total != reading.usage:
            return replace(reading, usage=total), f"the sum of {requests} requests is not that of their {ENTRIES}"
        return reading, ""
    if requests > 1:
        passes = split(reading.usage, requests)
        return replace(reading, passes=passes, requests=requests), (
            f"a sum over {requests:,} requests: each is taken as an equal part"
        )
    return reading, ""


def _with_passes(reading: UsageReading, iterations: list[Mapping[str, Any]]) -> tuple[UsageReading, str]:
    """Anthropic's passes; what is counted around them are the messages, which must be among them."""
    readings = [_run("anthropic", run) for run in iterations]
    passes = tuple(UsagePass(one.usage, model_of(run)) for one, run in zip(readings, iterations, strict=True))
    bad = next((one.reason for one in readings if one.status is not UsageStatus.OK), "")
    total = sum((run.usage for run in passes), Usage())
    around = reading.usage
    searches = max(around.web_search_requests - total.web_search_requests, 0)
    if total.input_tokens < around.input_tokens or total.output_tokens < around.output_tokens:
        doubt = "its iterations are less than their sum"
        return replace(reading, passes=(), usage=around), bad or doubt
    if len(passes) == 1 and not passes[0].model:
        return replace(reading, usage=replace(total, web_search_requests=total.web_search_requests + searches)), bad
    if searches:
        first = passes[0]
        searched = replace(first.usage, web_search_requests=first.usage.web_search_requests + searches)
        passes = (replace(first, usage=searched), *passes[1:])
        total = sum((run.usage for run in passes), Usage())
    return replace(reading, passes=passes, usage=total), bad


def _run(flavor: str, usage: Mapping[str, Any]) -> UsageReading:
    return read_found(Found({}, {key: part for key, part in usage.items() if key != ITERATIONS}), flavor)


def _with_raw(reading: UsageReading, usage: Mapping[str, Any]) -> UsageReading:
    return replace(reading, raw=plain(usage)) if usage else reading


def _possible(counts: Mapping[str, int]) -> Usage:
    """The nearest usage that can be: parts are cut to what includes them."""
    kept = {name: min(counts.get(name, 0), TOKENS_PER_TURN_MAX) for name in USAGE_FIELDS}
    kept["cache_read_tokens"] = min(kept["cache_read_tokens"], kept["input_tokens"])
    kept["cache_write_tokens"] = min(kept["cache_write_tokens"], kept["input_tokens"] - kept["cache_read_tokens"])
    for part, whole in _WHOLES:
        kept[part] = min(kept[part], kept[whole])
    return Usage(**kept)
