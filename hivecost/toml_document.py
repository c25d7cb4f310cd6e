"""A TOML file that knows where its keys stand, so that an error can say file, line and key."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from hivecost.errors import ConfigError

#: `("budget", 1, "window")`: names of tables and keys, and places in lists of tables.
KeyPath = tuple[str | int, ...]

#: Some ten thousand models; reading more would take many seconds.
_BYTES_MAX: Final = 2**20
#: Brackets in brackets, and names in a dotted key: tomllib's time grows with the square of them, or it overflows.
_DEPTH_MAX: Final = 16
#: Python reads no integer that is much longer.
_WORD_MAX: Final = 1_000

_HEADER: Final = re.compile(r"(\[\[?)((?:\"[^\"]*\"|'[^']*'|[^\]\"'])*)\]{1,2}\s*(?:#|$)")
_PART: Final = re.compile(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)")
#: What nests and counts in TOML; strings and comments are one token each, so that nothing inside them counts.
_TOKEN: Final = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)|\'\'\'.*?(?:\'\'\'|\Z)|"(?:\\.|[^"\\\n])*"?|\'[^\'\n]*\'?|#[^\n]*|[\[\]{}.,=\n]|[\w-]+',
    re.DOTALL,
)


class TomlDocument:
    """Raises ConfigError for a file that is not there, cannot be read, is no TOML, or nests beyond all reason.

    `owner` is what to call the whole of it in an error; `parse_float` is given the text of each float.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, owner: str = "config", parse_float: Callable[[str], Any] = float
    ) -> None:
        self.path = Path(path)
        self._owner = owner
        self._text = self._read()
        for line, problem in _excesses(self._text):
            raise self._unusable(f"TOML without {problem}", line)
        self.values: dict[str, Any] = self._parse(parse_float)

    def require_keys(self, where: KeyPath, table: Mapping[str, Any], known: Iterable[str], *, owner: str = "") -> None:
        """Raise ConfigError for the first key that is not known."""
        for key in table.keys() - set(known):
            raise self.error((*where, key), f"no such key, but some of {', '.join(known)}", owner=owner)

    def error(self, key: KeyPath, expected: str, *, owner: str = "", got: object = None) -> ConfigError:
        """Return an error about `key`, with its line in the file; `owner` names all of the key but its end."""
        line = self._line(key)
        named = f"{owner}.{key[-1]}" if owner else dotted(key)
        return ConfigError(named, expected, file=f"{self.path}:{line}" if line else str(self.path), got=got)

    def _read(self) -> str:
        try:
            with self.path.open("rb") as file:
                data = file.read(_BYTES_MAX + 1)
        except OSError as error:
            raise self._unusable(f"a readable TOML file ({error.strerror})") from error
        except ValueError as error:
            raise self._unusable(f"the path of a TOML file ({error})") from error
        if len(data) > _BYTES_MAX:
            raise self._unusable(f"at most {_BYTES_MAX:,} bytes")
        try:
            return data.decode().replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise self._unusable(f"a text file in UTF-8 ({error.reason})", line) from error

    def _parse(self, parse_float: Callable[[str], Any]) -> dict[str, Any]:
        import tomllib  # noqa: PLC0415  # most runtimes are configured in Python

        try:
            return tomllib.loads(self._text, parse_float=parse_float)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r" \(at line (\d+), column \d+\)", str(error))
            line = int(found[1]) if found else len(self._text.rstrip().split("\n"))
            problem = re.sub(r" \(at .*\)$", "", str(error))
            raise self._unusable(f"valid TOML ({problem})", line) from error

    def _unusable(self, expected: str, line: int = 0) -> ConfigError:
        return ConfigError(self._owner, expected, file=f"{self.path}:{line}" if line else str(self.path))

    def _line(self, wanted: KeyPath) -> int:
        """Return the line of the key, else of what is nearest above it, else 0; tomllib keeps no positions."""
        found, most = 0, 0
        for number, key in _keys(self._text):
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(key, wanted, strict=False)))
            if shared > most:
                found, most = number, shared
        return found


def dotted(key: KeyPath) -> str:
    """Return `prices."my.model".input`, as it may be written in the file."""
    names = [part for part in key if isinstance(part, str)]
    return ".".join(name if re.fullmatch(r"[\w-]+", name) else f'"{name}"' for name in names)


def _excesses(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, what it is) of what no file needs and tomllib cannot bear."""
    line, depth, names = 1, 0, 0
    for piece in map(re.Match.group, _TOKEN.finditer(text)):
        depth += (piece in "[{") - (piece in "]}")
        if piece == ".":
            names += 1
        elif piece in "[]{},=\n":
            names = 0
        if depth > _DEPTH_MAX:
            yield line, f"more than {_DEPTH_MAX} brackets inside each other"
        if names >= _DEPTH_MAX:
            yield line, f"a key of more than {_DEPTH_MAX} names"
        if len(piece) > _WORD_MAX and piece[0] not in "\"'#":
            yield line, f"a word or a number of more than {_WORD_MAX:,} characters"
        line += piece.count("\n")


def _keys(text: str) -> Iterator[tuple[int, KeyPath]]:
    """Yield the tables and keys that begin a line, with its number."""
    lists: Counter[KeyPath] = Counter()
    table: KeyPath = ()
    for number, line in enumerate(text.split("\n"), 1):
        header = _HEADER.match(line.strip())
        if header:
            table = ()
            for part in _parts(header[2]):
                table = (*table, part)
                if table in lists:
                    table = (*table, lists[table] - 1)
            if header[1] == "[[" and table:
                table = table[:-1] if isinstance(table[-1], int) else table
                lists[table] += 1
                table = (*table, lists[table] - 1)
            yield number, table
        elif "=" in line:
            yield number, (*table, *_parts(line.partition("=")[0]))


def _parts(dotted_key: str) -> tuple[str, ...]:
    """Return ("budget", "a b", "match") for `budget."a b".match`."""
    return tuple(double or single or bare for double, single, bare in _PART.findall(dotted_key))
