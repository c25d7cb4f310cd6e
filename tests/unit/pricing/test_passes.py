"""A turn of several runs: each priced by itself, and their costs add up."""

from __future__ import annotations

import pytest

from hivecost.events import Cost, CostStatus, Usage
from hivecost.pricing import PriceBook
from hivecost.pricing.passes import sum_of_costs
from hivecost.usage import UsageReading, UsageStatus
from hivecost.usage.reading import UsagePass

BOOK = PriceBook()
RUN = Usage(input_tokens=1_000, output_tokens=100)


def reading(*passes: UsagePass, **fields) -> UsageReading:
    whole = Usage(
        input_tokens=sum(one.usage.input_tokens for one in passes),
        output_tokens=sum(one.usage.output_tokens for one in passes),
    )
    return UsageReading(usage=whole, passes=passes, **fields)


def test_each_run_is_priced_by_its_own_model():
    """An advisor's run at the advisor's rates, the others at those of the answer's model."""
    runs = (
        UsagePass(Usage(input_tokens=1_100, output_tokens=110)),
        UsagePass(Usage(input_tokens=2_500, output_tokens=20), "claude-opus-4-8"),
        UsagePass(Usage(input_tokens=1_300, output_tokens=10)),
    )
    cost = BOOK.price_reading(reading(*runs, model="claude-sonnet-5"))
    assert (cost.status, cost.nanousd) == (CostStatus.PRICED, 19_000_000)
    assert cost.input_nanousd + cost.output_nanousd == cost.nanousd
    assert "input=5 output=25" in cost.rate
    assert "input=2 output=10" in cost.rate


def test_an_advisor_is_looked_up_at_the_host_that_was_asked():
    """A run on Bedrock is billed by Bedrock, whoever runs."""
    runs = reading(UsagePass(RUN), UsagePass(RUN, "claude-opus-4-8"), model="claude-sonnet-4-6")
    cost = BOOK.price_reading(runs, model="us.anthropic.claude-sonnet-4-6")
    expected = [
        BOOK.price(name, RUN).nanousd for name in ("us.anthropic.claude-sonnet-4-6", "us.anthropic.claude-opus-4-8")
    ]
    assert cost.nanousd == sum(expected)


def test_the_long_context_step_goes_by_each_run():
    """Three runs of 100,000 tokens are no request of 300,000."""
    run = Usage(input_tokens=150_000, output_tokens=10)
    one = BOOK.price("gemini-2.5-pro", run).nanousd
    whole = BOOK.price("gemini-2.5-pro", Usage(input_tokens=300_000, output_tokens=20)).nanousd
    cost = BOOK.price_reading(reading(UsagePass(run), UsagePass(run), model="gemini-2.5-pro"))
    assert cost.nanousd == 2 * one < whole


def test_a_request_fee_is_owed_by_each_run():
    """As each is a request of its own."""
    fee = BOOK.price("sonar", Usage(), provider="perplexity").nanousd
    assert fee
    runs = reading(UsagePass(Usage()), UsagePass(Usage()), model="sonar", provider="perplexity")
    assert BOOK.price_reading(runs).nanousd == 2 * fee


def test_a_run_without_a_price_leaves_no_amount():
    """Unknown is never zero: the whole turn is unpriced, and the reason names the model."""
    cost = BOOK.price_reading(reading(UsagePass(RUN), UsagePass(RUN, "nobody-knows"), model="gpt-4o"))
    assert (cost.status, cost.nanousd) == (CostStatus.UNPRICED, None)
    assert "nobody-knows" in cost.reason


def test_an_estimated_reading_makes_an_estimated_sum():
    """And says why, beside what the runs say."""
    runs = (UsagePass(RUN), UsagePass(RUN, "gpt-oss-120b"))
    cost = BOOK.price_reading(reading(*runs, model="gpt-4o", status=UsageStatus.ESTIMATED, reason="the stream was cut"))
    assert cost.status is CostStatus.ESTIMATED
    assert "host unknown" in cost.reason
    assert cost.reason.endswith("; the stream was cut")


def test_a_reported_bill_wins_over_the_runs():
    """And the sum of the runs is kept beside it."""
    cost = BOOK.price_reading(reading(UsagePass(RUN), UsagePass(RUN), model="gpt-4o", reported_nanousd=5))
    assert (cost.status, cost.nanousd) == (CostStatus.REPORTED, 5)
    assert cost.table_nanousd == 2 * BOOK.price("gpt-4o", RUN).nanousd


@pytest.mark.parametrize(
    ("parts", "worst"),
    [
        (["priced", "estimated"], "estimated"),
        (["estimated", "invalid"], "invalid"),
        (["invalid", "unpriced", "priced"], "unpriced"),
        (["priced", "priced"], "priced"),
    ],
)
def test_the_sum_is_as_sure_as_its_least_sure_part(parts, worst):
    """Unpriced, then invalid, then estimated, then priced."""
    costs = [Cost(status=CostStatus(one), nanousd=1 if one in {"priced", "estimated"} else None) for one in parts]
    assert sum_of_costs(costs, "s").status is CostStatus(worst)


def test_parts_add_up_and_reasons_are_bounded():
    """Each reason once, and of many only the first; a part that one run does not know, the sum does not know."""
    costs = [
        Cost(
            status=CostStatus.ESTIMATED, nanousd=3, input_nanousd=1, output_nanousd=2, fee_nanousd=None, reason=f"r{n}"
        )
        for n in range(9)
    ]
    total = sum_of_costs([*costs, costs[0]], "s")
    assert (total.nanousd, total.input_nanousd, total.output_nanousd, total.fee_nanousd) == (30, 10, 20, None)
    assert total.reason == "r0; r1; r2; r3; r4; 4 more"
