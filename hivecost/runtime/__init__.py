"""Hosts agents: executions, the gate, cancellation, plugins."""

from hivecost.runtime.budgets import RuntimeBudgets
from hivecost.runtime.charge import Charge
from hivecost.runtime.config import RuntimeConfig
from hivecost.runtime.config_file import read_config_file
from hivecost.runtime.config_reload import ConfigReload
from hivecost.runtime.execution import Execution, Node, current_execution
from hivecost.runtime.execution_block import ExecutionBlock
from hivecost.runtime.log import ReadableLog
from hivecost.runtime.loop_config import LoopConfig, LoopRules
from hivecost.runtime.match_values import placed_scope
from hivecost.runtime.plugins import AttachedPlugin, AttachedPlugins, PluginStatus
from hivecost.runtime.portal import BackgroundBudgets, BackgroundRuntime, run_in_background
from hivecost.runtime.result import ExecutionResult
from hivecost.runtime.runtime import AgentRuntime, RuntimeStatistics
from hivecost.runtime.specs import GraphSpec, NodeSpec
from hivecost.runtime.streaming import TurnStream
from hivecost.runtime.turn import Turn

__all__ = [
    "AgentRuntime",
    "AttachedPlugin",
    "AttachedPlugins",
    "BackgroundBudgets",
    "BackgroundRuntime",
    "Charge",
    "ConfigReload",
    "Execution",
    "ExecutionBlock",
    "ExecutionResult",
    "GraphSpec",
    "LoopConfig",
    "LoopRules",
    "Node",
    "NodeSpec",
    "PluginStatus",
    "ReadableLog",
    "RuntimeBudgets",
    "RuntimeConfig",
    "RuntimeStatistics",
    "Turn",
    "TurnStream",
    "current_execution",
    "placed_scope",
    "read_config_file",
    "run_in_background",
]
