"""What a runtime log is asked and told, whatever keeps it: the contract of a border, and its records."""

from hivecost.log.contract import LogReader, LogState, LogWriter, StateTable
from hivecost.log.rows import (
    ALWAYS,
    DIMENSIONS,
    EVERYTHING,
    SUM_NAMES,
    AccountRow,
    CostRow,
    Filter,
    LatencyRow,
    Page,
    SumRow,
    TurnSum,
    Window,
    cost_bucket,
    latency_bucket,
)

__all__ = [
    "ALWAYS",
    "DIMENSIONS",
    "EVERYTHING",
    "SUM_NAMES",
    "AccountRow",
    "CostRow",
    "Filter",
    "LatencyRow",
    "LogReader",
    "LogState",
    "LogWriter",
    "Page",
    "StateTable",
    "SumRow",
    "TurnSum",
    "Window",
    "cost_bucket",
    "latency_bucket",
]
