"""Whose a call is, as far as the program or its framework says; only modules that it has imported are looked at."""

import contextvars
import os
import sys

_node = contextvars.ContextVar("hivecost_node", default="")
_tags = contextvars.ContextVar("hivecost_tags", default={})  # noqa: B039  # nobody changes it
#: A client is being metered: what it sends through another one is not asked for again.
is_metered = contextvars.ContextVar("hivecost_is_metered", default=False)
#: Probes that raised, which changes nothing.
failures = 0

_HERE = os.path.dirname(os.path.abspath(__file__))
_DEPTH_MAX = 200
#: File name -> as it is shown; "" for code that is not the program's own.
_shown = {}


class _Scope:
    """A value of a context variable: `with` it, or as the decorator of a function or a coroutine function."""

    def __init__(self, variable, value_of):
        self._variable = variable
        #: Makes it of the value around.
        self._value_of = value_of
        self._tokens = []

    def __enter__(self):
        self._tokens.append(self._variable.set(self._value_of(self._variable.get())))
        return self

    def __exit__(self, *_):
        self._variable.reset(self._tokens.pop())

    def __call__(self, function):
        import functools  # not at the start of each Python

        def scope():
            return _Scope(self._variable, self._value_of)

        @functools.wraps(function)
        def called(*arguments, **options):
            with scope():
                return function(*arguments, **options)

        @functools.wraps(function)
        async def awaited(*arguments, **options):
            with scope():
                return await function(*arguments, **options)

        code = getattr(function, "__code__", None)
        return awaited if code is not None and code.co_flags & _COROUTINE else called


#: As in `inspect`, which takes long to import.
_COROUTINE = 0x80


def node(name):
    """Calls inside belong to this step of the agent: a context manager, and a decorator."""
    return _Scope(_node, lambda _: str(name))


def tag(**tags):
    """Calls inside have these tags, beside those around them: a context manager, and a decorator."""
    said = {name: str(value) for name, value in tags.items()}
    return _Scope(_tags, lambda around: dict(around, **said))


def current_tags():
    """Return the tags of the calling code."""
    return _tags.get()


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
