"""Whose a call is, read from real frameworks in programs that say nothing of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hivecost.backends import open_log
from hivecost.testing import Behaviour

sys.path.insert(0, str(Path(__file__).parents[2] / "integration"))
from attached import run_attached  # it stands with those of `make test`

OPENAI = """
import os
os.environ.update(OPENAI_BASE_URL=os.environ["PROVIDER"] + "/v1", OPENAI_API_KEY="any")
"""
LANGGRAPH = """
import asyncio
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
model = ChatOpenAI(model="gpt-4o", max_tokens=100)
def plan(state):
    return {"messages": [model.invoke(state["messages"])]}
async def write(state):
    return {"messages": [await model.ainvoke(state["messages"])]}
graph = StateGraph(MessagesState).add_node(plan).add_node(write).add_edge(START, "plan").add_edge("plan", "write")
asked = {"messages": ["hello"]}, {"configurable": {"thread_id": "chat 12"}}
asyncio.run(graph.compile().ainvoke(*asked))
"""
AGENTS = """
from agents import Agent, Runner, RunConfig, set_trace_processors
set_trace_processors([])
config = RunConfig(group_id="chat 12")
for name in ("Writer", "Editor"):
    Runner.run_sync(Agent(name=name, model="gpt-4o"), "hello", run_config=config)
"""
SPANS = """
import openai
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
context.attach(baggage.set_baggage("session.id", "chat 12"))
with trace.get_tracer("agent").start_as_current_span("answer", attributes={"user.id": "ada"}):
    openai.OpenAI().chat.completions.create(model="gpt-4o", max_tokens=100, messages=[])
"""


@pytest.mark.parametrize(
    ("program", "nodes", "agents", "users"),
    [
        (LANGGRAPH, {"plan": 1, "write": 1}, {"agent.py": 2}, {""}),
        (AGENTS, {"Writer": 1, "Editor": 1}, {"Writer": 1, "Editor": 1}, {""}),
        (SPANS, {"": 1}, {"agent.py": 1}, {"ada"}),
    ],
    ids=["langgraph", "openai-agents", "opentelemetry"],
)
def test_a_framework_says_whose_a_call_is(
    program: str, nodes: dict[str, int], agents: dict[str, int], users: set[str], tmp_path: Path
) -> None:
    """Node, agent, session and user, and the script where it knows no agent."""
    (tmp_path / "agent.py").write_text(OPENAI + program)
    ran = run_attached(tmp_path, "agent.py", "--key", "secret.py", behaviour=Behaviour(text="hello"), budgets=("$5",))
    by = ran.receipt["by"]
    assert {name: sums["calls"] for name, sums in by["node"].items()} == nodes, ran.errors
    assert {name: sums["calls"] for name, sums in by["agent"].items()} == agents
    assert ran.receipt["failed_probes"] == 0
    assert all(line.startswith("agent.py:") for line in by["line"] if line)
    with open_log(tmp_path / "data").snapshot() as log:
        rows = log.sums(("session", "user"))
    assert {row.group[0] for row in rows} == {"chat 12"}
    assert {row.group[1] for row in rows} == users
