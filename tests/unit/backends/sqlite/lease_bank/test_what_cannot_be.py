"""A value that cannot be is said to its caller, and stops nobody else."""

from __future__ import annotations

import pytest

from hivecost.backends import Ledger
from hivecost.errors import ConfigError
from hivecost.ledger import Budget

pytestmark = pytest.mark.anyio

_NO_TEXTS = [5, True, 1.5, b"acme", None, ["acme"], {}, "\ud800"]
_BUDGETS = [Budget("org", "$1", per="org"), Budget("run", "$1", window="execution")]


@pytest.fixture
async def ledger(base_path):
    async with Ledger.open(base_path, budgets=_BUDGETS) as ledger:
        await ledger.reserve({"org": "acme"}, usd="0.01")  # so that the next one needs no database
        yield ledger


async def _still_decides(ledger):
    hold = ledger.reserve_nowait({"org": "acme"}, usd="0.01")
    return hold is not None and hold.release()


@pytest.mark.parametrize("value", _NO_TEXTS, ids=repr)
async def test_an_attribute_that_is_no_text_is_named_and_harms_nobody(ledger, value):
    """`{"org": 5}` is a ConfigError that names `org`, and the ledger goes on."""
    with pytest.raises(ConfigError, match=r"attribution\.org"):
        await ledger.reserve({"org": value}, usd="0.01")
    with pytest.raises(ConfigError, match=r"attribution\.org"):
        ledger.reserve_nowait({"org": value}, usd="0.01")
    with pytest.raises(ConfigError, match=r"attribution\.org"):
        await ledger.charge({"org": value}, usd="0.01")
    with pytest.raises(ConfigError, match=r"attribution\.org"):
        await ledger.remaining({"org": value})
    with pytest.raises(ConfigError, match=r"attribution\.execution"):
        await ledger.reserve({}, usd="0.01", ancestors=[{"execution": value}])
    assert await _still_decides(ledger)


@pytest.mark.parametrize("attribution", [5, None, "acme", ["org"]], ids=repr)
async def test_attributes_that_are_no_mapping_harm_nobody(ledger, attribution):
    """Something else in the place of the attributes is a ConfigError, and the ledger goes on."""
    with pytest.raises(ConfigError, match="attribution"):
        await ledger.reserve(attribution, usd="0.01")
    with pytest.raises(ConfigError, match="attribution"):
        ledger.reserve_nowait(attribution, usd="0.01")
    with pytest.raises(ConfigError, match="attribution"):
        await ledger.reserve({}, usd="0.01", ancestors=[attribution])
    assert await _still_decides(ledger)


@pytest.mark.parametrize("value", [value for value in _NO_TEXTS if value is not None], ids=repr)
async def test_another_argument_of_another_kind_harms_nobody(ledger, value):
    """A key, an execution or ancestors that are of another kind are named, and the ledger goes on."""
    with pytest.raises(ConfigError, match="key"):
        await ledger.reserve({"org": "acme"}, usd="0.01", key=value)
    with pytest.raises(ConfigError, match="execution_id"):
        ledger.forget_execution(value)
    if value != {}:
        with pytest.raises(ConfigError, match=r"ancestors|attribution"):
            await ledger.reserve({}, usd="0.01", ancestors=value)
    assert await _still_decides(ledger)


async def test_the_budgets_of_a_charge_may_be_one_name(ledger):
    """`budgets="org"` charges that one; a number is a ConfigError."""
    hold, _ = await ledger.charge({"org": "acme"}, usd="0.01", budgets="org")
    assert hold.budgets == {"org"}
    with pytest.raises(ConfigError, match="budgets"):
        await ledger.charge({"org": "acme"}, usd="0.01", budgets=5)
    assert await _still_decides(ledger)


async def test_what_is_true_is_partial(ledger):
    """`is_partial` may be anything that is true: the database takes it."""
    hold = await ledger.reserve({"org": "globex"}, usd="0.01", is_partial=["yes"])
    assert hold.doubt()
    assert [row.in_doubt for row in await ledger.status() if row.scope == "org=globex"] == [10_000_000]
