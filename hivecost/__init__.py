"""Cost control for agent runtimes: count, price, budget and stop every LLM call.

Names are imported from their rooms when they are first used, so that `import hivecost` costs next to nothing.
`__init__.pyi` is the one list of them, for type checkers and for this file.
"""

from importlib import import_module
from typing import Any

#: The same as in pyproject.toml and in those of the plugins.
__version__ = "0.2.0.dev0"

_homes: dict[str, str] = {}


def _find_homes() -> dict[str, str]:
    """Return the room of each public name, read from the stub beside this file once."""
    if not _homes:
        import pkgutil  # noqa: PLC0415  # not needed by who only imports hivecost
        import re  # noqa: PLC0415  # the same

        stub = (pkgutil.get_data(__name__, "__init__.pyi") or b"").decode()
        for room, names in re.findall(r"^from (\S+) import \(([^)]*)\)", stub, re.MULTILINE):
            _homes.update(dict.fromkeys(re.findall(r"(\w+) as", names), room))
    return _homes


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted(_find_homes(), key=lambda name: (not name.isupper(), name))
    home = None if name.startswith("_") else _find_homes().get(name)
    if home is None:
        raise AttributeError(f"module 'hivecost' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_find_homes()})
