"""Whatever a provider or its SDK hands over, reading it ends soon and raises nothing; sound counts are read."""

from __future__ import annotations

import enum
import itertools
import json
from collections.abc import Mapping

import pytest
from msgspec import msgpack

from hivecost.errors import UsageInvalidError
from hivecost.events import Usage
from hivecost.pricing import PriceBook, price_line
from hivecost.testing import FakeClock
from hivecost.usage import UsageStatus, UsageStream, read_usage

HUGE = 10**5_000
SOUND = {"prompt_tokens": 4, "completion_tokens": 5}
READ = Usage(input_tokens=4, output_tokens=5)


class Raising:
    """Nothing of it can be looked at."""

    def __repr__(self):
        raise RuntimeError("closed")

    def __getattr__(self, name):
        raise RuntimeError("closed")


class RaisingDict(dict):
    def __repr__(self):
        raise RuntimeError("closed")


class RaisingMapping(Mapping):
    def __getitem__(self, key):
        raise RuntimeError("closed")

    def __iter__(self):
        raise RuntimeError("closed")

    def __len__(self):
        raise RuntimeError("closed")


class EndlessMapping(Mapping):
    """Has any name, and another one after it."""

    def __getitem__(self, key):
        return None

    def __iter__(self):
        return map(str, itertools.count())

    def __len__(self):
        return 1


class EndlessDict(dict):
    def __iter__(self):
        return map(str, itertools.count())

    def items(self):
        return ((name, None) for name in self)


class StrangeError(Exception):
    def __repr__(self):
        raise RuntimeError("not even this")


class Closed:
    """An SDK's object whose properties work no more."""

    model = "gpt-4o"

    @property
    def usage(self):
        raise StrangeError

    def __repr__(self):
        raise StrangeError


class Partly:
    """One that has its usage, and another property that raises."""

    model = "gpt-4o"
    usage = SOUND

    @property
    def output_parsed(self):
        raise StrangeError


class Liar:
    @property
    def __class__(self):
        raise RuntimeError("closed")


class Number(int):
    def __add__(self, other):
        raise RuntimeError("closed")

    def __repr__(self):
        raise RuntimeError("closed")


class Word(str):
    def __str__(self):
        raise RuntimeError("closed")


class Reason(enum.Enum):
    HUGE = HUGE


def nest(levels):
    inner: list = []
    for _ in range(levels):
        inner = [inner]
    return inner


def web(fan):
    """A dict that holds itself many times: a copy of it, however deep, has no end."""
    knot: dict = {"prompt_tokens": -1}
    for number in range(fan):
        knot[f"k{number}"] = knot
    return knot


def branches(fan, levels):
    """The same without a circle: each level many times in the next one."""
    inner: object = 1
    for _ in range(levels):
        inner = [inner] * fan
    return inner


ODD = {
    "huge": HUGE,
    "raising": Raising(),
    "dict": RaisingDict(a=1),
    "mapping": RaisingMapping(),
    "endless": EndlessMapping(),
    "endless dict": EndlessDict(a=1),
    "deep": nest(100_000),
    "web": web(20),
    "branches": branches(10, 12),
    "number": Number(5),
    "word": Word("5"),
    "enum": Reason.HUGE,
    "surrogate": "\ud800",
    "bytes": b"\xff",
    "type": Raising,
    "liar": Liar(),
}


@pytest.fixture(params=ODD)
def odd(request):
    return ODD[request.param]


def read_both(payload):
    """The reading of a whole answer, and that of a stream of it; both can be encoded."""
    stream = UsageStream()
    stream.observe(payload)
    assert stream.output_bound >= 0
    for reading in (read_usage(payload), stream.reading()):
        assert reading.reason.isprintable()
        assert len(reading.reason) < 500
        msgpack.encode(reading)
        json.dumps(reading.raw, allow_nan=False).encode()
        yield reading


def test_an_odd_count_is_invalid_and_the_others_are_kept(odd):
    """Whatever stands where a number should."""
    for reading in read_both({"model": "gpt-4o", "usage": {"prompt_tokens": odd, "completion_tokens": 5}}):
        assert reading.status is UsageStatus.INVALID
        assert reading.usage == Usage(output_tokens=5)


def test_an_odd_part_elsewhere_changes_nothing(odd):
    """In the usage and around it, as a value and as a key: what is sound is read."""
    whole, streamed = read_both({"x": odd, "model": "gpt-4o", "usage": {**SOUND, "x": odd, HUGE: 1, "\ud800": 2}})
    assert (whole.status, whole.usage, whole.model) == (UsageStatus.OK, READ, "gpt-4o")
    assert (streamed.status, streamed.usage) == (UsageStatus.ESTIMATED, READ)


def test_an_odd_name_is_no_name(odd):
    """Where a text is expected; half a surrogate pair cannot be logged, and is a question mark."""
    choices = [{"finish_reason": odd}]
    for reading in read_both({"model": odd, "service_tier": odd, "usage": SOUND, "choices": choices}):
        assert reading.usage == READ
        assert reading.model in {"", "?", "5"}
        assert type(reading.model) is str


def test_an_odd_answer_is_missing_or_invalid(odd):
    """The whole payload, its usage part, and a wrapper around it."""
    for payload in (odd, {"usage": odd}, {"response": odd}, [odd], {"usage": {"prompt_tokens_details": odd}}):
        for reading in read_both(payload):
            assert reading.status in (UsageStatus.MISSING, UsageStatus.INVALID)


def test_an_odd_bill_is_no_bill(odd):
    """The provider's own amount, in each of the forms there are."""
    for usage in ({"cost": odd}, {"cost_in_usd_ticks": odd}, {"cost": {"total_cost": odd}}):
        for reading in read_both({"model": "m", "usage": {**SOUND, **usage}}):
            assert reading.reported_nanousd in {None, 5 * 10**9}
            assert reading.usage == READ or reading.status is UsageStatus.INVALID


def test_a_property_that_raises_is_told_or_passed_over():
    """The one with the usage: invalid, with its error. Another one: nothing is wrong."""
    assert read_usage(Closed()).status is UsageStatus.INVALID
    assert read_usage(Partly()).usage == READ


@pytest.mark.parametrize("endless", [EndlessMapping(), EndlessDict(a=1)])
def test_a_mapping_without_end_is_invalid(endless):
    """As the answer, as its usage, and as what an SDK did not know of it; around sound counts it is passed over."""

    class Answer:
        model_extra = endless

    for payload in (endless, {"usage": endless}, Answer()):
        assert read_usage(payload).status is UsageStatus.INVALID
    assert read_usage({"usage": SOUND, "metadata": endless}).usage == READ


@pytest.mark.parametrize("wrap", [str, str.encode])
def test_json_with_an_integer_of_thousands_of_digits(wrap):
    """In a count it is invalid; anywhere else the counts are read to the token."""
    digits = "9" * 5_000
    counted = wrap(f'{{"usage": {{"prompt_tokens": {digits}, "completion_tokens": 5}}}}')
    beside = wrap(f'{{"seed": {digits}, "usage": {{"prompt_tokens": 4, "completion_tokens": 5, "x": -{digits}}}}}')
    for reading in read_both(counted):
        assert (reading.status, reading.usage) == (UsageStatus.INVALID, Usage(output_tokens=5))
    assert [reading.usage for reading in read_both(beside)] == [READ, READ]
    stream = UsageStream()
    stream.observe(wrap(f'data: {{"seed": {digits}, "usage": {{"prompt_tokens": 4, "completion_tokens": 5}}}}'))
    assert stream.counted == READ


def test_a_name_of_megabytes_is_cut():
    """It goes into events, and is remembered with its price."""
    for reading in read_both({"model": "m" * 2**22, "usage": SOUND}):
        assert len(reading.model) == 1_000


def test_an_interrupt_in_a_property_is_not_swallowed():
    """Ctrl-C and SystemExit are no payload."""

    class Ending:
        @property
        def usage(self):
            raise SystemExit(3)

    with pytest.raises(SystemExit):
        read_usage(Ending())
    with pytest.raises(SystemExit):
        UsageStream().observe(Ending())


def test_usage_of_our_own_says_what_is_wrong():
    """Also of a number that Python does not write out."""
    for count in (HUGE, -HUGE, Raising()):
        with pytest.raises(UsageInvalidError, match="input_tokens must be"):
            Usage(input_tokens=count)


def test_a_line_is_priced_or_invalid():
    """`hivecost price --jsonl`: an odd part elsewhere is no matter, and an hour beyond the calendar's end is one."""
    book = PriceBook(clock=FakeClock())
    digits = "9" * 5_000
    line = f'{{"id": 1, "x": {digits}, "model": "gpt-4o", "usage": {{"input_tokens": 1000}}}}'
    assert price_line(line, book)["cost_usd"] == "0.002500000"
    for field in ("model", "provider", "timestamp", "usage", "raw_usage", "batch", "reported_cost_usd", "service_tier"):
        for odd in ODD.values():
            assert price_line({"model": "gpt-4o", "usage": {"input_tokens": 1}, field: odd}, book)["status"]
    for odd in ODD.values():
        assert price_line(odd, book)["status"] in ("invalid", "unpriced")
    for year in ("0001-01-01", "9999-12-31T23:59:59-14:00"):
        assert price_line({"model": "nobody", "timestamp": year, "usage": {"input_tokens": 1}}, book)["status"]
        assert price_line({"model": "gpt-4o", "timestamp": year, "usage": {"input_tokens": 1}}, book)["status"]
