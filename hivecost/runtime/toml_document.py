"""A TOML file that knows where its keys stand, so that an error can say file, line and key."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from hivecost.errors import ConfigError

#: `("budget", 1, "window")`: names of tables and keys, and places in lists of tables.
KeyPath = tuple[str | int, ...]

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?")
_PART: Final = re.compile(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)")


class TomlDocument:
    """Raises ConfigError for a file that is not there, cannot be read or is no TOML."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._text = self._read()
        self.values: dict[str, Any] = self._parse()

    def require_keys(self, where: KeyPath, table: Mapping[str, Any], known: Iterable[str], *, owner: str = "") -> None:
        """Raise ConfigError for the first key that is not known."""
        for key in table.keys() - set(known):
            raise self.error((*where, key), f"no such key, but some of {', '.join(known)}", owner=owner)

    def error(self, key: KeyPath, expected: str, *, owner: str = "", got: object = None) -> ConfigError:
        """What is wrong at `key`, with the line where it stands; `owner` is what to call all of the key but its end."""
        line = self._line(key)
        shown = f"{owner}.{key[-1]}" if owner else ".".join(map(str, key))
        return ConfigError(shown, expected, file=f"{self.path}:{line}" if line else str(self.path), got=got)

    def _read(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError("config", f"a file that can be read ({error.strerror})", file=str(self.path)) from error
        except UnicodeDecodeError as error:
            raise ConfigError("config", f"a text file in UTF-8 ({error})", file=str(self.path)) from error

    def _parse(self) -> dict[str, Any]:
        import tomllib  # noqa: PLC0415  # most runtimes are configured in Python

        try:
            return tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r" \(at line (\d+), column \d+\)", str(error))
            line = found[1] if found else len(self._text.rstrip().split("\n"))
            problem = re.sub(r" \(at .*\)$", "", str(error))
            raise ConfigError("config", f"valid TOML ({problem})", file=f"{self.path}:{line}") from error

    def _line(self, wanted: KeyPath) -> int:
        """Of the key, else of what is nearest above it, else 0; tomllib keeps no positions."""
        found, most = 0, 0
        for number, key in _keys(self._text):
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(key, wanted, strict=False)))
            if shared > most:
                found, most = number, shared
        return found


def _keys(text: str) -> Iterator[tuple[int, KeyPath]]:
    """The tables and keys that begin a line, with its number."""
    lists: Counter[KeyPath] = Counter()
    table: KeyPath = ()
    for number, line in enumerate(text.split("\n"), 1):
        header = _HEADER.fullmatch(line)
        if header:
            table = ()
            for part in _parts(header[2]):
                table = (*table, part)
                if table in lists:
                    table = (*table, lists[table] - 1)
            if header[1] == "[[":
                table = table[:-1] if isinstance(table[-1], int) else table
                lists[table] += 1
                table = (*table, lists[table] - 1)
            yield number, table
        elif "=" in line:
            yield number, (*table, *_parts(line.partition("=")[0]))


def _parts(dotted: str) -> tuple[str, ...]:
    """`budget."a b".match` as ("budget", "a b", "match")."""
    return tuple(double or single or bare for double, single, bare in _PART.findall(dotted))
