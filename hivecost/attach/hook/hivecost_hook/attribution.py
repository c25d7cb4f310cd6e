"""Whose a call is, as far as the program or its framework says; only modules that it has imported are looked at."""

import contextlib
import contextvars
import os
import sys

_node = contextvars.ContextVar("hivecost_node", default="")
#: A client is being metered: what it sends through another one is not asked for again.
is_metered = contextvars.ContextVar("hivecost_is_metered", default=False)
#: Probes that raised, which changes nothing.
failures = 0

_HERE = os.path.dirname(os.path.abspath(__file__))
_DEPTH_MAX = 200
#: File name -> as it is shown; "" for code that is not the program's own.
_shown = {}


@contextlib.contextmanager
def node(name):
    """Calls inside belong to this step of the agent. A context manager, and a decorator of functions."""
    token = _node.set(name)
    try:
        yield
    finally:
        _node.reset(token)


def current_node():
    """Return the step that the calling code belongs to; "" where nobody says."""
    global failures
    named = _node.get()
    if named:
        return named
    try:
        config = sys.modules.get("langchain_core.runnables.config")
        if config is not None:
            current = config.var_child_runnable_config.get() or {}
            return str((current.get("metadata") or {}).get("langgraph_node", ""))
    except Exception:
        failures += 1
    return ""


def where():
    """Return the line of the program's own code that makes the call, relative to its working folder; "" if none."""
    frame, depth = sys._getframe(1), 0
    while frame is not None and depth < _DEPTH_MAX:
        name = frame.f_code.co_filename
        shown = _shown.get(name)
        if shown is None:
            shown = _shown[name] = _show(name)
        if shown:
            return "%s:%d" % (shown, frame.f_lineno)
        frame, depth = frame.f_back, depth + 1
    return ""


def _show(name):
    try:
        path = os.path.abspath(name)
        relative = os.path.relpath(path)
    except (OSError, ValueError):
        return ""
    is_own = not (relative.startswith(os.pardir) or name.startswith("<") or path.startswith(_HERE))
    is_library = "site-packages" in path or "dist-packages" in path or path.startswith(os.path.dirname(os.__file__))
    return relative if is_own and not is_library else ""
