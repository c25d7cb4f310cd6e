"""Frozen Structs of what happened, and the codec that takes them to bytes and back."""

from hivecost.events.base import Event, EventType, new_event_id, new_execution_id, new_session_id
from hivecost.events.codec import decode, decode_json, encode, encode_json
from hivecost.events.compactions import CompactionTrigger, ContextCompacted
from hivecost.events.controls import AlertRaised, BudgetExceeded, BudgetWarning, RateLimited
from hivecost.events.cost import FROM_ALL, FROM_ANSWER, Cost, CostStatus
from hivecost.events.custom import CustomEvent, UnknownEvent
from hivecost.events.executions import ExecutionCompleted, ExecutionStarted, ExecutionStatus
from hivecost.events.sent_prompts import NEWEST_RESULTS, TOOL_NAME_MAX, CarriedResults, SentPrompt
from hivecost.events.turns import ChargeSettled, LLMTurnComplete, ToolCallCompleted, Totals
from hivecost.events.usage import TOKENS_PER_TURN_MAX, USAGE_FIELDS, Usage, usage_problem

__all__ = [
    "FROM_ALL",
    "FROM_ANSWER",
    "NEWEST_RESULTS",
    "TOKENS_PER_TURN_MAX",
    "TOOL_NAME_MAX",
    "USAGE_FIELDS",
    "AlertRaised",
    "BudgetExceeded",
    "BudgetWarning",
    "CarriedResults",
    "ChargeSettled",
    "CompactionTrigger",
    "ContextCompacted",
    "Cost",
    "CostStatus",
    "CustomEvent",
    "Event",
    "EventType",
    "ExecutionCompleted",
    "ExecutionStarted",
    "ExecutionStatus",
    "LLMTurnComplete",
    "RateLimited",
    "SentPrompt",
    "ToolCallCompleted",
    "Totals",
    "UnknownEvent",
    "Usage",
    "decode",
    "decode_json",
    "encode",
    "encode_json",
    "new_event_id",
    "new_execution_id",
    "new_session_id",
    "usage_problem",
]
