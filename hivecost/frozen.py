"""Containers that cannot be changed, for what many share: a copy that compares and encodes as what it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, NoReturn

#: What is nested deeper stays as it is: no codec would write it either.
_DEPTH_MAX: Final = 100
_ATOMS: Final = frozenset({str, int, float, bool, bytes, type(None)})


class FrozenDict(dict[str, Any]):
    """A dict that refuses to be changed; `dict(it)` is one that can be."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("what an event holds cannot be changed, others see it too; take a copy: dict(…)")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return frozen, (dict(self),)


class FrozenList(list[Any]):
    """A list that refuses to be changed; `list(it)` is one that can be."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("what an event holds cannot be changed, others see it too; take a copy: list(…)")

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return frozen, (list(self),)


#: Shared by all that hold nothing.
EMPTY: Final = FrozenDict()


def frozen(value: Any) -> Any:
    """Return a copy that cannot be changed, of mappings, lists, tuples and sets, however they are nested.

    Texts become plain `str`. What is none of these stays what it is: objects of other classes are shared.
    """
    return value if type(value) in _FROZEN else _Freezing().copy(value, 0)


class _Freezing:
    """One copy in the making: what holds itself, or is held twice, is copied once."""

    def __init__(self) -> None:
        #: The originals are kept beside their copies, so that no id is taken a second time.
        self._made: dict[int, tuple[Any, Any]] = {}

    def copy(self, value: Any, depth: int) -> Any:  # noqa: PLR0911  # one line per kind reads best
        kind = type(value)
        if kind in _FROZEN or depth > _DEPTH_MAX:
            return value
        if isinstance(value, str):
            return str.__str__(value)
        if id(value) in self._made:
            return self._made[id(value)][1]
        if isinstance(value, Mapping):
            return self._mapping(value, depth + 1)
        if isinstance(value, list):
            return self._list(value, depth + 1)
        if isinstance(value, tuple):
            return tuple([self.copy(item, depth + 1) for item in value])
        if isinstance(value, AbstractSet):
            return frozenset([self.copy(item, depth + 1) for item in value])
        return bytes(value) if isinstance(value, bytearray) else value

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> FrozenDict:
        if not value:
            return EMPTY
        made = FrozenDict()
        self._made[id(value)] = value, made
        for key, item in value.items():
            dict.__setitem__(made, self.copy(key, depth), self.copy(item, depth))
        return made

    def _list(self, value: list[Any], depth: int) -> FrozenList:
        made = FrozenList()
        self._made[id(value)] = value, made
        for item in value:
            list.append(made, self.copy(item, depth))
        return made


_FROZEN: Final = _ATOMS | {FrozenDict, FrozenList}
