"""`install`: this process is the agent, and its own meter."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from types import ModuleType

import anyio

from hivecost.attach.command import HOOK, SOCKET
from hivecost.attach.running import Attachment, agent_name
from hivecost.attribution import checked_tags
from hivecost.errors import ConfigError
from hivecost.runtime.portal import BackgroundRuntime

_installed: Installed | None = None


class Installed:
    """What `install` began. It ends with the program, which it never keeps from ending."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._runtime = BackgroundRuntime(lambda: attachment.runtime)
        path = self._runtime.call(self._begin)
        _hook().start(str(path))

    async def _begin(self) -> Path:
        opened: asyncio.Future[Path] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.ensure_future(self._serve(opened))
        return await opened

    async def _serve(self, opened: asyncio.Future[Path]) -> None:
        """Until the runtime is closed, which cancels the executions in here."""
        try:
            async with self._attachment.serving() as path:
                opened.set_result(path)
                await anyio.sleep_forever()
        except Exception as error:  # whoever waits for the path is told
            if not opened.done():
                opened.set_exception(error)


def install(
    budget: str | Iterable[str], *, data: str = "", whole_answers: bool = False, tag_prompts: bool = False
) -> None:
    """Have each call of a model that this process makes asked for and metered, under limits as `hivecost run` has them.

    `budget` is such as `"$0.50"`, for this process and those that it forks, or `"5usd/day"`, or several; `data` says
    where it is kept. With `whole_answers` a stream that no budget can pay whole is refused, in place of being paid for
    in steps; with `tag_prompts` calls are tagged with a hash of their system prompt. Raise ConfigError for what cannot
    be used, and where the process is metered already.
    """
    global _installed  # noqa: PLW0603  # clients are patched once in a process
    if _installed is not None or os.environ.get(SOCKET):
        raise ConfigError("install", "a process that is not metered yet, by install() or `hivecost run`")
    budgets = (budget,) if isinstance(budget, str) else tuple(budget)
    script = agent_name([sys.executable, *filter(None, sys.argv[:1])])
    _installed = Installed(
        Attachment(budgets, data=data, agent=script, whole_answers=whole_answers, tag_prompts=tag_prompts)
    )


def node(name: str) -> AbstractContextManager[None]:
    """Name the step that calls inside belong to, here and under `hivecost run`: for `with`, and as a decorator."""
    named: AbstractContextManager[None] = _hook().node(name)
    return named


def tag(**tags: str) -> AbstractContextManager[None]:
    """Tag calls inside, such as by `customer="acme"`, here and under `hivecost run`: for `with`, or as a decorator.

    Raise ConfigError for what is no text, and for the name of an attribute, such as `user`.
    """
    named: AbstractContextManager[None] = _hook().tag(**checked_tags(tags))
    return named


def _hook() -> ModuleType:
    """Return the hook's package, which is no part of ours: under `hivecost run` it is loaded from the same folder."""
    if (loaded := sys.modules.get("hivecost_hook")) is not None:
        return loaded
    sys.path.insert(0, str(HOOK))
    try:
        return import_module("hivecost_hook")
    finally:
        sys.path.remove(str(HOOK))
