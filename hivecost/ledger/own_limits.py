"""Limits that single values of a budget's attributes have of their own, in place of the budget's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from hivecost.errors import ConfigError
from hivecost.ledger.period import Window

#: The values of the account attributes; None in the place of the window's own: whatever execution or session it is.
LimitKey = tuple[str | None, ...]

#: Windows that have an account for each value of the attribute of their name.
OWN_WINDOWS: Final = ("execution", "session")


def keys_of(window: Window, key: LimitKey) -> Iterator[LimitKey]:
    """Yield the keys under which the accounts of a key may have a limit of their own; of several, the first counts."""
    yield key
    if window in OWN_WINDOWS and len(key) > 1 and key[0] is not None:
        yield (None, *key[1:])


def own_limit_of(limits: Mapping[LimitKey, int], window: Window, key: LimitKey) -> int | None:
    """Return the limit of their own that the accounts of a key have; None where that of their budget holds."""
    return next((limits[one] for one in keys_of(window, key) if one in limits), None)


def key_of_scope(budget: str, window: Window, attributes: Sequence[str], scope: Mapping[str, str]) -> LimitKey:
    """Return the key of the accounts that a scope such as `{"agent": "planner"}` names.

    It names all account attributes of the budget; that of the window itself, `session` or `execution`, may be left out
    where there are others: the limit is then that of each of them. Raise ConfigError, naming those attributes.
    """
    key = f"budget {budget!r}: scope"
    if not attributes:
        raise ConfigError(key, "none: the budget has no `per`, so one account, and one limit", got=scope)
    each = attributes[1:] if window in OWN_WINDOWS else ()
    is_named = isinstance(scope, Mapping) and set(scope) in (set(attributes), set(each) or set(attributes))
    if not is_named or not all(map(is_value, scope.values())):
        expected = f"a value for {_listed(attributes)}, and nothing else"
        raise ConfigError(key, expected + (f"; or for {_listed(each)} alone" if each else ""), got=scope)
    return tuple(scope.get(name) for name in attributes)


def is_value(value: object) -> bool:
    """Tell whether an attribute can have the value: a text that can be encoded, also an empty one."""
    return isinstance(value, str) and value.encode(errors="ignore").decode() == value


def format_key(attributes: Sequence[str], key: LimitKey) -> str:
    """Return `agent=planner` or `user=ada,model=gpt-4o`, as the scope of its accounts is shown."""
    return ",".join(f"{name}={value}" for name, value in zip(attributes, key, strict=True) if value is not None)


def split_key(names: Sequence[str], text: str) -> tuple[str, ...] | None:
    """Return the values of these attributes in a key of `Budget.limits`; None for other names, or one of them twice.

    Of one attribute the key is the value itself: `planner`. Of several it names them: `user=ada,model=gpt-4o`.
    """
    if len(names) == 1:
        return (text,)
    first, *parts = re.split(rf"(?:^|,)({'|'.join(map(re.escape, names))})=", text)
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    if first or len(found) != len(parts) // 2 or set(found) != set(names):
        return None
    return tuple(found[name] for name in names)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(map(repr, names))
