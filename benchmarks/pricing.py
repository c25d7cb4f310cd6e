"""Pricing a turn, against genai-prices' own calc_price for the same turn: same answers, and how much faster."""

from __future__ import annotations

from time import perf_counter, time_ns

import genai_prices
from genai_prices.data import providers

from benchmarks.figure import ratio_of
from hivecost.events import Usage
from hivecost.pricing import PriceBook

ROUNDS, MODELS = 15, 200
USAGE = Usage(input_tokens=12_000, output_tokens=800, cache_read_tokens=9_000)
GENAI_USAGE = genai_prices.Usage(input_tokens=12_000, output_tokens=800, cache_read_tokens=9_000)


def results() -> list[tuple[str, float, float, bool]]:
    """(name, goal, figure, whether the goal is met); figures are medians of one run."""
    book = PriceBook()
    one = [("openai", "gpt-4o")]
    mix = _mix(book)
    return [
        _compared("one turn of one model, over calc_price", 50.0, book, one, repeats=400),
        _compared(f"one turn each of {MODELS} models, over calc_price", 20.0, book, mix, repeats=2),
    ]


def _mix(book: PriceBook) -> list[tuple[str, str]]:
    """Models that both price alike, spread over all providers."""
    listed = [
        (provider.id, model.id)
        for provider in providers
        for model in provider.models
        if model.is_match(model.id) and book.price(model.id, USAGE, provider=provider.id).source == "genai-prices"
    ]
    return listed[:: len(listed) // MODELS][:MODELS]


def _compared(
    name: str, goal: float, book: PriceBook, models: list[tuple[str, str]], *, repeats: int
) -> tuple[str, float, float, bool]:
    ours_s, theirs_s = [], []
    _check(book, models)
    for _ in range(ROUNDS):  # by turns, so that both see the same machine
        ours_s.append(_ours_s(book, models, repeats * 50) / 50)
        theirs_s.append(_theirs_s(models, repeats))
    ratio = ratio_of(theirs_s, ours_s)
    return (name, goal, ratio, ratio >= goal)


def _check(book: PriceBook, models: list[tuple[str, str]]) -> None:
    """A fast wrong answer is worth nothing."""
    for provider, model in models:
        theirs = genai_prices.calc_price(GENAI_USAGE, model, provider_id=provider).total_price
        ours = book.price(model, USAGE, provider=provider).nanousd
        assert ours is not None
        assert abs(ours - theirs * 10**9) <= 1, (provider, model)


def _ours_s(book: PriceBook, models: list[tuple[str, str]], repeats: int) -> float:
    now_ns = time_ns()
    started_s = perf_counter()
    for _ in range(repeats):
        for provider, model in models:
            book.price(model, USAGE, provider=provider, at_ns=now_ns)
    return perf_counter() - started_s


def _theirs_s(models: list[tuple[str, str]], repeats: int) -> float:
    started_s = perf_counter()
    for _ in range(repeats):
        for provider, model in models:
            genai_prices.calc_price(GENAI_USAGE, model, provider_id=provider)
    return perf_counter() - started_s


if __name__ == "__main__":
    for name, goal, figure, met in results():
        print(f"{'met   ' if met else 'MISSED'} {figure:8.1f}x (goal {goal:g}x)  {name}")
