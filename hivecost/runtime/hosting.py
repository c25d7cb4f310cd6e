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
    """Executions may run until the block ends; then those that do are waited for, or cancelled if it raised.

    An Exception of the block is kept in `failure`, for the caller to raise when everything is closed.
    """
    hosted = Hosted()
    async with anyio.create_task_group() as group:
        executions.open(group, current_loop())
        try:
            yield hosted
        except Exception as error:  # kept for later: a task group would wrap it
            hosted.failure = error
            executions.cancel_all("the block of the runtime raised")
        except BaseException:
            executions.cancel_all("the block of the runtime was cancelled")
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await executions.close()
