"""docs/events.md says what the Structs have: each key of `data`, its type and its unit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import hivecost as hc
from hivecost.events.codec import KnownEvent

PAGE = (Path(__file__).parents[3] / "docs" / "events.md").read_text()
EVENTS = [*KnownEvent.__args__, hc.UnknownEvent]
SHARED = hc.Event.__struct_fields__
#: How names of keys end, and the unit that this says; the first that fits counts.
UNITS = {
    "_ns": "nanoseconds",
    "_ms": "milliseconds",
    "_nanousd": "nano-USD",
    "_usd": "USD",
    "_pct": "percent",
    "_tokens": "tokens",
}


def sections() -> dict[str, str]:
    """What stands under each heading."""
    return dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))


def rows(text: str) -> list[list[str]]:
    """The cells of tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| key", "| event"))]
    return [[cell.strip().replace("` or `", " | ") for cell in line.split("|")[1:-1]] for line in lines]


def documented(event: type[hc.Event]) -> dict[str, tuple[str, str]]:
    """The keys of an event, with their types and units."""
    name = event.type.name
    found: dict[str, tuple[str, str]] = {}
    for heading, text in sections().items():
        if name not in heading.split(", "):
            continue
        of_several = "," in heading
        for row in rows(text):
            if of_several and not row[0].startswith(name):
                continue
            keys, kind, unit = row[1:4] if of_several else row[:3]
            found |= dict.fromkeys(re.findall(r"`(\w+)`", keys), (kind.strip("`"), unit.strip("`")))
    return found


def derived(event: type[hc.Event]) -> dict[str, Any]:
    cost = {"cost": hc.Cost(status=hc.CostStatus.PRICED, nanousd=1)} if "cost" in event.__struct_fields__ else {}
    return event(**cost)._derived()


def annotations(event: type[hc.Event]) -> dict[str, str]:
    """The types of fields as they are written; one of some texts is a text."""
    written = {
        name: kind for base in reversed(event.__mro__) for name, kind in vars(base).get("__annotations__", {}).items()
    }
    return {name: "str" if "Literal[" in kind else kind for name, kind in written.items()}


def test_what_every_event_has_is_there():
    """The shared fields, each with its type."""
    found = {
        key: row[1].strip("`") for row in rows(sections()["Every event"]) for key in re.findall(r"`(\w+)`", row[0])
    }
    assert found == {name: annotations(hc.Event)[name] for name in SHARED}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type.name)
def test_every_key_is_there(event):
    """None more and none less, each with its type, and with the unit that its name says."""
    found = documented(event)
    if event is hc.ChargeSettled:
        assert "Its keys are those of LLM_TURN_COMPLETE" in sections()["CHARGE_SETTLED"]
        found = documented(hc.LLMTurnComplete)
    if event is hc.BudgetExceeded:
        (as_above,) = re.findall(r"(.*) are as above", sections()["BUDGET_EXCEEDED"])
        found |= {key: documented(hc.BudgetWarning)[key] for key in re.findall(r"`(\w+)`", as_above)}
    fields = {name: annotations(event)[name] for name in event.__struct_fields__ if name not in SHARED}
    values = derived(event)
    assert found.keys() == fields.keys() | values.keys()
    for key, (kind, unit) in found.items():
        if key in fields:
            assert kind == fields[key], key
        else:
            assert kind.split(" | ")[0] == type(values[key]).__name__, key
        said = next((said for ending, said in UNITS.items() if key.endswith(ending)), None)
        assert said is None or unit == said, key


def test_every_type_has_a_section():
    """Each EventType is a heading, or part of one."""
    headings = [name for heading in sections() for name in heading.split(", ")]
    assert headings == ["Every event", *sorted(hc.EventType.__members__, key=headings.index)]
