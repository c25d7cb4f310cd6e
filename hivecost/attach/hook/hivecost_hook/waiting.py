"""Waiting for a reply that another thread delivers: in a thread, on asyncio and on trio."""

import sys
import threading


class ThreadWaiter:
    """Of code without an event loop."""

    def __init__(self):
        self._arrived = threading.Event()
        self.reply = None

    def deliver(self, reply):
        """From any thread, once."""
        self.reply = reply
        self._arrived.set()

    def wait(self, timeout_s):
        """Return whether it came."""
        return self._arrived.wait(timeout_s)


class AsyncioWaiter:
    """Of a task of asyncio, whatever its loop is."""

    def __init__(self, loop):
        self._loop = loop
        self._arrived = loop.create_future()
        self.reply = None

    def deliver(self, reply):
        """From any thread, once."""
        self.reply = reply
        try:
            self._loop.call_soon_threadsafe(self._arrive, True)
        except RuntimeError:  # the loop has ended, and whoever waited on it
            pass

    def _arrive(self, came):
        if not self._arrived.done():
            self._arrived.set_result(came)

    async def wait(self, timeout_s):
        """Return whether it came."""
        timer = self._loop.call_later(timeout_s, self._arrive, False)
        try:
            return await self._arrived
        finally:
            timer.cancel()


class TrioWaiter:
    """Of a task of trio."""

    def __init__(self, trio):
        self._trio = trio
        self._token = trio.lowlevel.current_trio_token()
        self._arrived = trio.Event()
        self.reply = None

    def deliver(self, reply):
        """From any thread, once."""
        self.reply = reply
        try:
            self._token.run_sync_soon(self._arrived.set)
        except RuntimeError:  # as above: trio.RunFinishedError is one
            pass

    async def wait(self, timeout_s):
        """Return whether it came."""
        with self._trio.move_on_after(timeout_s):
            await self._arrived.wait()
        return self._arrived.is_set()


def async_waiter():
    """Return a waiter for the task that runs here."""
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            trio.lowlevel.current_task()
            return TrioWaiter(trio)
        except RuntimeError:
            pass
    import asyncio

    return AsyncioWaiter(asyncio.get_running_loop())
