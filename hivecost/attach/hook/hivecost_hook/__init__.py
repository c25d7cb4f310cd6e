"""Asks hivecost before each call of a model that this process makes, and tells it what came back.

Nothing but the standard library, for any Python from 3.9 on: the environment of an agent need not contain hivecost.
What a call costs and whether it may be made is decided on the other side of a unix socket.
"""

import atexit
import os

from hivecost_hook.attribution import node, tag
from hivecost_hook.hello import Line
from hivecost_hook.importing import when_imported
from hivecost_hook.refusals import BudgetExceeded

__all__ = ["BudgetExceeded", "node", "start", "tag"]


#: What is patched once the program imports it, by which module of ours.
_CLIENTS = (
    ("httpx._client", "httpx_client"),
    ("httpx2._client", "httpx_client"),
    ("requests.sessions", "requests_client"),
    ("aiohttp.client", "aiohttp_client"),
    ("urllib3.connectionpool", "urllib3_client"),
    ("botocore.endpoint", "botocore_client"),
)
#: The same of the errors for refusals, and by which function of that module.
_ERRORS = (
    ("botocore.client", "botocore_client", "patch_errors"),
    ("google.genai.errors", "sdk_errors", "patch_genai"),
    ("openai._base_client", "sdk_errors", "patch"),
    ("anthropic._base_client", "sdk_errors", "patch"),
)


def start(socket_path):
    """Meter the clients that this process imports from here on, and those that it has imported.

    What asks for their calls is imported with the first of them: a program that has none takes no time for it.
    """
    line = Line(socket_path)
    os.register_at_fork(after_in_child=line.close)
    atexit.register(line.close)
    gates = []

    def patch_client(module, patched_by):
        if not gates:
            gate = _ours("connection").Gate(line)
            os.register_at_fork(after_in_child=gate.forked)
            gates.append(gate)
        _ours(patched_by).patch(module, gates[0])

    for name, patched_by in _CLIENTS:
        when_imported(name, lambda module, patched_by=patched_by: patch_client(module, patched_by))
    for name, patched_by, function in _ERRORS:
        when_imported(
            name, lambda module, patched_by=patched_by, function=function: getattr(_ours(patched_by), function)(module)
        )


def _ours(name):
    from importlib import import_module

    return import_module("hivecost_hook." + name)
