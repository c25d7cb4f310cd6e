"""The block in which executions may run, and what its end means for those that still do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec

from hivecost.loops import current_loop
from hivecost.runtime.executions import Executions


class Hosted(msgspec.Struct):
    """How the block ended."""

    failure: BaseException | None = None


@asynccontextmanager
async def hosting(executions: Executions) -> AsyncIterator[Hosted]:
    """Executions may run until the block ends; then those that do, and what they start themselves, are waited for.

    If the block raised they are cancelled, and nothing is started any more. What it raised is kept in `failure`,
    for the caller to raise when everything is closed.
    """
    hosted = Hosted()
    async with anyio.create_task_group() as group:
        executions.open(group, current_loop())
        try:
            yield hosted
        except (anyio.get_cancelled_exc_class(), GeneratorExit):
            executions.end("the block of the runtime was cancelled")
            raise
        except BaseException as error:  # SystemExit too is kept for later: a task group would wrap it
            hosted.failure = error
            executions.end("the block of the runtime raised")
        finally:
            with anyio.CancelScope(shield=True):
                await executions.close()
