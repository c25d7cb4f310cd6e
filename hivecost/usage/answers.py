"""Usage out of one answer, whichever provider gave it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from hivecost.errors import ConfigError, UsageInvalidError
from hivecost.events import TOKENS_PER_TURN_MAX, USAGE_FIELDS, Usage
from hivecost.plain_text import shown
from hivecost.usage.bills import Fees, is_billed_by_prompt, reported_nanousd
from hivecost.usage.counts import Counts, placed
from hivecost.usage.deltas import generated_bytes
from hivecost.usage.detection import Found, answer_id_of, by_model, find_usage, flavor_of, why_no_turn
from hivecost.usage.estimates import tokens_of
from hivecost.usage.identity import identity_of
from hivecost.usage.passes import AROUND, BY_MODEL, ENTRIES, ITERATIONS, STEPS, model_of, runs_around, runs_in, split
from hivecost.usage.raw import raw_of, spoken_value
from hivecost.usage.reading import UsagePass, UsageReading, UsageStatus
from hivecost.usage.refusals import why_unbilled
from hivecost.usage.views import view

#: The shapes that are known, by name. A shape says what stands beside what where no total does; counts go by one table.
FLAVORS: Final = (
    "anthropic", "bedrock", "canonical", "cohere", "deepseek", "gemini", "interactions", "litellm", "llama", "mistral",
    "ollama", "openai", "openrouter", "otel", "perplexity", "responses", "spans", "xai",
)  # fmt: skip

#: Looked up once: a member of an enum is slow to reach where a reading takes microseconds.
_OK: Final = UsageStatus.OK
_ESTIMATED: Final = UsageStatus.ESTIMATED
_MISSING: Final = UsageStatus.MISSING
_INVALID: Final = UsageStatus.INVALID
_SUMS_OF_MODELS: Final = "the counts of each model are sums over its calls"
_SAYS_NOTHING: Final = "the payload says nothing about usage"
#: Of an answer that brought something.
ALL_ZERO: Final = "all counts are zero, which no answer is"
NO_OUTPUT: Final = "no output was counted: a token for each three bytes of it"
_ZEROS: Final = repeat(0)
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


def require_flavor(flavor: str | None) -> None:
    """Raise ConfigError for a flavor that is none."""
    if flavor is not None and flavor not in FLAVORS:
        raise ConfigError("flavor", f"one of {', '.join(FLAVORS)}", got=flavor)


def read_answer(payload: object, flavor: str | None = None) -> UsageReading:
    """Return the usage of one answer, decoded. A stranger's object may raise anything from a property."""
    found = find_usage(payload)
    unbilled = "" if found.usage else why_unbilled(payload)
    if unbilled:
        return UsageReading(unbilled=unbilled, batch=True, raw=raw_of(payload))
    detected = flavor or flavor_of(found)
    no_turn = "" if flavor else why_no_turn(found)
    if not detected and not no_turn and (table := by_model(payload)):
        return _of_models(table)
    if not detected or no_turn:
        parts = view(found.usage) or view(payload)
        raw = raw_of(parts) if found.usage else None
        reason, answer_id = no_turn or _SAYS_NOTHING, answer_id_of(found.response)
        return UsageReading(status=_MISSING, reason=reason, answer_id=answer_id, raw=raw)
    found = found if found.usage or not flavor else Found(found.response, found.response)
    reading = read_found(found, detected)
    if flavor == "canonical":
        reading = _of_our_own(reading, found.usage)
    return replace(reading, batch=True) if found.batch else reading


def unreadable(error: Exception) -> UsageReading:
    """Return what is known of a payload whose reading failed; the error's text may quote it."""
    return UsageReading(status=_INVALID, reason=f"cannot be read: {type(error).__name__}")


def _of_models(table: Mapping[str, Mapping[str, Any]]) -> UsageReading:
    """Return what each model used, as frameworks sum it up."""
    passes = tuple(
        UsagePass(read_found(Found({}, used), flavor_of(Found({}, used))).usage, model) for model, used in table.items()
    )
    return UsageReading(
        usage=sum((one.usage for one in passes), Usage()),
        passes=passes,
        status=_ESTIMATED,
        reason=_SUMS_OF_MODELS,
        model=next(iter(table)) if len(table) == 1 else "",
        raw={"models": [raw_of(used) for used in table.values()]},
    )


def _of_our_own(reading: UsageReading, usage: Mapping[str, Any]) -> UsageReading:
    """Return the reading of usage whose flavor is said to be ours, invalid where a name is not.

    A slip of a name must not pass for a count of zero.
    """
    strange = next((name for name, count in usage.items() if name not in _COUNT_FIELDS and count is not None), None)
    texts = [
        f"{name} must be a whole number, got {spoken_value(count)}"
        for name, count in usage.items()
        if type(count) is str
    ]
    if reading.status is _INVALID or (strange is None and not texts):
        return reading
    reason = (
        texts[0]
        if strange is None
        else f"{shown(strange, 60)} is no count of hivecost.Usage: {', '.join(USAGE_FIELDS)}"
    )
    return replace(reading, status=_INVALID, reason=reason, raw=raw_of(usage))


def read_found(found: Found, flavor: str) -> UsageReading:
    """Return the reading of a usage part of this shape."""
    response, usage = found.response, found.usage
    facts = identity_of(response, usage, flavor)
    counts, fees = _counted(response, usage, flavor, facts.model)
    thinks = flavor == "interactions" or "gemini" in (facts.model or facts.hinted_provider or facts.provider).lower()
    inclusive, doubt = placed(counts, flavor, hides_thoughts=thinks)
    for field, count in fees.counts.items():
        inclusive[field] = max(inclusive.get(field, 0), count)
    if inclusive.get("web_search_requests", 0) > 1 and counts["requests"] < 2 and is_billed_by_prompt(facts.model):
        inclusive["web_search_requests"] = 1
    read, status, reason = _checked(inclusive, counts)
    runs = Runs(read)
    if status is _OK:
        runs = _runs(read, usage, counts["requests"], flavor)
        if not AROUND.isdisjoint(response):
            runs = _runs_around(runs, response, flavor)
        reason = counts.unread_reason
        if doubt or runs.doubt or fees.unpriced or fees.doubts:
            reason = "; ".join(filter(None, (doubt, runs.doubt, reason, fees.reason)))
        uncounted = ""
        if not read.output_tokens and response is not usage:
            runs, uncounted = _with_output(runs, generated_bytes(response))
            reason = "; ".join(filter(None, (uncounted, reason)))
        status = _MISSING if uncounted == ALL_ZERO else _ESTIMATED if reason else _OK
    return UsageReading(
        usage=runs.usage,
        passes=runs.passes,
        requests=runs.requests,
        status=status,
        reason=reason,
        flavor=flavor,
        answer_id=answer_id_of(response) or answer_id_of(usage),
        model=facts.model,
        provider=facts.provider,
        hinted_provider=facts.hinted_provider,
        service_tier=facts.service_tier,
        inference_geo=facts.inference_geo,
        stop_reason=facts.stop_reason,
        reported_nanousd=reported_nanousd(response, usage),
        raw=None if status is _OK or not usage else raw_of(usage),
    )


def with_output(usage: Usage, size: int) -> tuple[Usage, str]:
    """Return the usage of an answer of so many bytes that counts no output, and what is in doubt about it.

    All zeros are no count. What is billed by the second or by the piece may have a text that is not billed.
    """
    if not size or usage.audio_seconds or usage.pages or usage.search_units:
        return usage, ""
    if not usage.total_tokens:
        return usage, ALL_ZERO
    return replace(usage, output_tokens=min(tokens_of(size), TOKENS_PER_TURN_MAX)), NO_OUTPUT


def _with_output(runs: Runs, size: int) -> tuple[Runs, str]:
    usage, doubt = with_output(runs.usage, size)
    return (runs if runs.passes else runs._replace(usage=usage)), doubt


def _checked(counts: Mapping[str, int], taken: Counts) -> tuple[Usage, UsageStatus, str]:
    """Return the usage; where it is impossible, the nearest possible one, and why."""
    if _COUNT_FIELDS.isdisjoint(counts):
        return Usage(), _MISSING, taken.unread_reason or _SAYS_NOTHING
    try:
        if not taken.problems:
            return Usage(*map(counts.get, USAGE_FIELDS, _ZEROS)), _OK, ""
        problem = taken.problems[0]
    except UsageInvalidError as error:
        problem = str(error)
    return _possible(counts), _INVALID, problem


def _counted(response: Mapping[str, Any], usage: Mapping[str, Any], flavor: str, model: str) -> tuple[Counts, Fees]:
    counts, fees = Counts(), Fees()
    counts.take(usage)
    if flavor == "cohere":
        _take_cohere(counts, usage)
    if tools := view(response.get("tool_usage")):
        counts.take(tools)
    fees.read(response, usage, model)
    return counts, fees


def _take_cohere(counts: Counts, usage: Mapping[str, Any]) -> None:
    """Take the billed units of Cohere alone: the model also saw tokens, some of them cached, that are not billed."""
    if view(usage.get("billed_units")):
        counts.found.pop("cache_read_tokens", None)
    else:
        counts.take(view(usage.get("tokens")))


class Runs(NamedTuple):
    """What a turn used, by the runs that make it up, and what is in doubt of them."""

    usage: Usage
    passes: tuple[UsagePass, ...] = ()
    requests: int = 1
    doubt: str = ""


def _runs(usage: Usage, part: Mapping[str, Any], requests: int, flavor: str) -> Runs:
    if requests < 2 and ITERATIONS not in part and ENTRIES not in part:  # as it is most often
        return Runs(usage)
    if iterations := runs_in(part, ITERATIONS):
        return _iterations(usage, iterations)
    if entries := runs_in(part, ENTRIES):
        passes = tuple(UsagePass(_run(flavor, entry).usage) for entry in entries)
        total = sum((run.usage for run in passes), Usage())
        doubt = "" if total == usage else f"the {len(passes)} requests in {ENTRIES} do not add up to their sum"
        return Runs(total, passes, len(passes), doubt)
    if requests > 1:
        doubt = f"a sum over {requests:,} requests: each is taken as an equal part"
        return Runs(usage, split(usage, requests), requests, doubt)
    return Runs(usage)


def _runs_around(runs: Runs, response: Mapping[str, Any], flavor: str) -> Runs:
    """Return the runs that stand beside the usage, where they are not less than it."""
    for key in AROUND:
        listed = runs_around(response, key)
        passes = tuple(UsagePass(_run(flavor, usage).usage, model) for usage, model in listed)
        total = sum((one.usage for one in passes), Usage())
        is_one = len(passes) == 1 and key != BY_MODEL
        if is_one or not passes or total.total_tokens < runs.usage.total_tokens:
            continue
        doubt = _SUMS_OF_MODELS if key == BY_MODEL else runs.doubt
        return Runs(total, passes, len(passes) if key == STEPS else 1, doubt)
    return runs


def _iterations(around: Usage, iterations: list[Mapping[str, Any]]) -> Runs:
    """Return Anthropic's passes; the counts around them are those of the messages, which must be among them."""
    readings = [_run("anthropic", run) for run in iterations]
    doubt = next((one.reason for one in readings if one.status is not _OK), "")
    passes = [UsagePass(one.usage, model_of(run)) for one, run in zip(readings, iterations, strict=True)]
    total = sum((run.usage for run in passes), Usage())
    if total.input_tokens < around.input_tokens or total.output_tokens < around.output_tokens:
        return Runs(around, doubt=doubt or f"its {ITERATIONS} are less than the counts around them")
    searches = around.web_search_requests - total.web_search_requests
    if searches > 0:  # they are counted around the passes alone
        first = passes[0].usage
        passes[0] = replace(passes[0], usage=first + Usage(web_search_requests=searches))
        total += Usage(web_search_requests=searches)
    is_whole = len(passes) == 1 and not passes[0].model
    return Runs(total, () if is_whole else tuple(passes), doubt=doubt)


def _run(flavor: str, usage: Mapping[str, Any]) -> UsageReading:
    return read_found(Found({}, {key: part for key, part in usage.items() if key != ITERATIONS}), flavor)


def _possible(counts: Mapping[str, int]) -> Usage:
    """Return the nearest possible usage: parts are cut to what includes them."""
    kept = {name: min(counts.get(name, 0), TOKENS_PER_TURN_MAX) for name in USAGE_FIELDS}
    kept["cache_read_tokens"] = min(kept["cache_read_tokens"], kept["input_tokens"])
    kept["cache_write_tokens"] = min(kept["cache_write_tokens"], kept["input_tokens"] - kept["cache_read_tokens"])
    for part, whole in _WHOLES:
        kept[part] = min(kept[part], kept[whole])
    return Usage(**kept)
