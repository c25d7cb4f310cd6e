"""`hivecost doctor`: whether hivecost meters what is installed here, and how strongly. One check a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hivecost.attach.doctor.check import Check, Environment, Finding
from hivecost.attach.doctor.clients import check_clients
from hivecost.attach.doctor.log import check_log
from hivecost.attach.doctor.self_test import check_hook

__all__ = ["CHECKS", "Check", "Environment", "Finding", "diagnose"]

#: In the order that they are made and shown in.
CHECKS: Final[tuple[Check, ...]] = (check_clients, check_hook, check_log)


async def diagnose(environment: Environment) -> list[Finding]:
    """Return what all checks found. A check that raises has found that."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += await check(environment)
        except Exception as error:  # the edge: one check must not hide the others
            findings.append(Finding("fail", check.__name__, f"{type(error).__name__}: {error}"))
    return findings


def lines(findings: list[Finding]) -> Iterator[str]:
    """Give the findings for people."""
    width = max((len(finding.subject) for finding in findings), default=0)
    for finding in findings:
        yield f"{finding.status.ljust(4)}  {finding.subject.ljust(width)}  {finding.text}"
