"""Whose a call is, as far as the program or its frameworks say."""

import contextvars

from hivecost_hook import calling_code, frameworks
from hivecost_hook.frameworks import plain

_node = contextvars.ContextVar("hivecost_node", default="")
_tags = contextvars.ContextVar("hivecost_tags", default={})  # noqa: B039  # nobody changes it
#: A client is being metered: what it sends through another one is not asked for again.
is_metered = contextvars.ContextVar("hivecost_is_metered", default=False)


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


def attributed():
    """Return all that is known of whose a call is, as it is asked for."""
    said, named, tags = frameworks.found(), _node.get(), _tags.get()
    if named:
        said["node"] = plain(named)
    if tags:
        said["tags"] = {plain(name): plain(value) for name, value in tags.items()}
    said["where"] = plain(calling_code.where())
    said["failed_probes"] = frameworks.failures()
    return said
