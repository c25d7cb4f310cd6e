"""What `hivecost doctor` finds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import hivecost as hc
from hivecost.attach import doctor
from hivecost.attach.doctor import Environment, Finding, diagnose
from hivecost.attach.doctor.clients import check_clients
from hivecost.attach.doctor.log import check_log
from hivecost.attach.doctor.self_test import check_hook

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def environment(tmp_path: Path, python: str = sys.executable, **packages: str) -> Environment:
    return Environment(python=python, packages=packages, place=tmp_path / "data")


async def test_clients_are_named_with_their_doors(tmp_path: Path) -> None:
    """What is not seen is a warning; a Python without any client is, too."""
    found = await check_clients(environment(tmp_path, openai="3.1", urllib3="1.26.20", websockets="17.0", numpy="3"))
    assert [(one.status, one.subject) for one in found] == [
        ("ok", "openai 3.1"),
        ("warn", "urllib3 1.26.20"),
        ("warn", "websockets 17.0"),
    ]
    assert [one.status for one in await check_clients(environment(tmp_path))] == ["warn"]


async def test_a_call_is_tried(tmp_path: Path) -> None:
    """One that a budget can pay, and one that it cannot."""
    (finding,) = await check_hook(environment(tmp_path, httpx2="2"))
    assert (finding.status, finding.subject) == ("ok", "self-test"), finding.text
    assert "httpx2" in finding.text


async def test_a_python_that_loads_no_hook_fails(tmp_path: Path) -> None:
    """Its calls would be free."""
    isolated = tmp_path / "python"
    isolated.write_text(f'#!/bin/sh\nexec {sys.executable} -I "$@"\n')
    isolated.chmod(0o755)
    (finding,) = await check_hook(environment(tmp_path, str(isolated), httpx2="2"))
    assert (finding.status, "was not loaded" in finding.text) == ("fail", True)
    (finding,) = await check_hook(environment(tmp_path))
    assert finding.status == "warn"


async def test_calls_without_a_price_are_counted(tmp_path: Path) -> None:
    """By their models; an empty log is no fault."""
    (place,) = await check_log(environment(tmp_path))
    assert (place.status, place.text.endswith("0 calls")) == ("ok", True)
    async with hc.AgentRuntime(tmp_path / "data") as runtime, runtime.execution() as execution:
        for model in ("gpt-4o", "no-such-model", "no-such-model"):
            async with execution.turn(model) as turn:
                turn.settle(hc.Usage(input_tokens=5, output_tokens=5))
    place, prices = await check_log(environment(tmp_path))
    assert place.text.endswith("3 calls")
    assert (prices.status, prices.text.partition(":")[0]) == ("warn", "2 calls of 1 models have no price")


async def test_a_check_that_raises_has_found_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are made all the same."""

    async def broken(_: Environment) -> Sequence[Finding]:
        raise OSError("no")

    monkeypatch.setattr(doctor, "CHECKS", (broken, check_clients))
    found = await diagnose(environment(tmp_path, httpx="1"))
    assert [(one.status, one.subject) for one in found] == [("fail", "broken"), ("ok", "httpx 1")]
    assert [line[:4] for line in doctor.lines(found)] == ["fail", "ok  "]
