"""Run one agent framework against the emulator: `python frameworks.py FRAMEWORK BASE_URL PROJECT MODULE…`.

Its own environment has openai-agents, langchain, langchain-openai, langchain-anthropic and pydantic-ai, and nothing of
ours.
"""

# ruff: noqa: PLC0415  # only the framework that is asked for is loaded

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

INSTRUCTIONS = (
    "You maintain a small Python project. Read what you need, change as little as possible, run what you change, and "
    "say in two sentences what you did. Ask nothing. "
) * 4
TASK = "Make the {0} module log what it does, with a test, and note what you changed."


def read_file(path: str) -> str:
    """Return the text of a file of the project.

    Args:
        path: The file, relative to the project.
    """
    return Path(path).read_text()


def write_file(path: str, content: str) -> str:
    """Write a file of the project, which is made or replaced.

    Args:
        path: The file, relative to the project.
        content: All of its text.
    """
    Path(path).write_text(content)
    return f"{path}: {len(content)} characters"


def run_command(command: str) -> str:
    """Run a shell command in the project and return what it prints.

    Args:
        command: What the shell is to run, at most a minute.
    """
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


TOOLS = [read_file, write_file, run_command]


async def openai_agents(base_url: str, tasks: list[str]) -> None:
    from agents import Agent, Runner, SQLiteSession, function_tool, set_default_openai_client, set_tracing_disabled
    from openai import AsyncOpenAI

    set_tracing_disabled(True)
    set_default_openai_client(AsyncOpenAI(base_url=f"{base_url}/v1", api_key="any"))
    agent = Agent(name="Maintainer", instructions=INSTRUCTIONS, model="gpt-5", tools=[function_tool(t) for t in TOOLS])
    session = SQLiteSession("one")
    for task in tasks:
        await Runner.run(agent, task, session=session, max_turns=40)


async def langchain_openai(base_url: str, tasks: list[str]) -> None:
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    await _langchain(create_agent, ChatOpenAI(model="gpt-4.1", base_url=f"{base_url}/v1", api_key="any"), tasks)


async def langchain_anthropic(base_url: str, tasks: list[str]) -> None:
    from langchain.agents import create_agent
    from langchain_anthropic import ChatAnthropic

    await _langchain(create_agent, ChatAnthropic(model="claude-sonnet-4-5", base_url=base_url, api_key="any"), tasks)


async def _langchain(create_agent, model, tasks):
    agent = create_agent(model, TOOLS, system_prompt=INSTRUCTIONS)
    messages: list = []
    for task in tasks:
        state = {"messages": [*messages, {"role": "user", "content": task}]}
        messages = (await agent.ainvoke(state, {"recursion_limit": 100}))["messages"]


async def pydantic_ai_openai(base_url: str, tasks: list[str]) -> None:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=f"{base_url}/v1", api_key="any")
    await _pydantic_ai(OpenAIChatModel("gpt-5-mini", provider=provider), tasks)


async def pydantic_ai_anthropic(base_url: str, tasks: list[str]) -> None:
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    provider = AnthropicProvider(base_url=base_url, api_key="any")
    await _pydantic_ai(AnthropicModel("claude-sonnet-4-5", provider=provider), tasks)


async def _pydantic_ai(model, tasks):
    from pydantic_ai import Agent

    agent = Agent(model, instructions=INSTRUCTIONS, tools=TOOLS)
    history: list = []
    for task in tasks:
        history = (await agent.run(task, message_history=history)).all_messages()


RUNS = {
    "openai-agents": openai_agents,
    "langchain-openai": langchain_openai,
    "langchain-anthropic": langchain_anthropic,
    "pydantic-ai-openai": pydantic_ai_openai,
    "pydantic-ai-anthropic": pydantic_ai_anthropic,
}

if __name__ == "__main__":
    framework, base_url, project, *modules = sys.argv[1:]
    os.chdir(project)
    asyncio.run(RUNS[framework](base_url, [TASK.format(module) for module in modules]))
