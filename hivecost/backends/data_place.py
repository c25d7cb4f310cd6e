"""Where it is kept what was spent, when nobody names a place: one rule for `hivecost run` and all that read."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hivecost.backends.opening import has_log
from hivecost.backends.places import Place, scheme_of
from hivecost.errors import ConfigError

_SETTINGS: Final = "hivecost.toml"
#: What programs of a project's own name most often; taken only where they have logged there.
_USUAL: Final = "data"


def data_place(given: str = "", *, folder: Path | None = None, environment: Mapping[str, str] = os.environ) -> Place:
    """Return the first that is said: what is `given`, HIVECOST_DATA, `data` of the nearest hivecost.toml.

    Else `data` in the folder, if something was logged there, else the state folder of the user. A folder that settings
    say stands beside their file. Raise ConfigError for settings that cannot be read.
    """
    if named := given or environment.get("HIVECOST_DATA", ""):
        return named
    here = Path.cwd() if folder is None else folder
    settings = find_settings(here)
    if settings is not None and (said := _said(settings)):
        return said if scheme_of(said) else settings.parent / said
    return _USUAL if has_log(here / _USUAL) else state_folder(environment)


def told_place(given: str = "") -> str:
    """Return the same as a text, and say it to people at a terminal where nobody named one."""
    place = os.fspath(data_place(given))
    if not (given or os.environ.get("HIVECOST_DATA")) and sys.stderr.isatty():
        sys.stderr.write(f"hivecost: data in {place}\n")
    return place


def find_settings(folder: Path) -> Path | None:
    """Return the nearest hivecost.toml: in the folder, or in one above it; None where there is none.

    Folders in which every user may write, such as /tmp, are passed over.
    """
    own = (above for above in (folder, *folder.parents) if not above.stat().st_mode & stat.S_IWOTH)
    return next((path for above in own if (path := above / _SETTINGS).is_file()), None)


def state_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of this user for what programs keep: XDG_STATE_HOME, else ~/.local/state."""
    home = environment.get("XDG_STATE_HOME", "")
    above = Path(home) if os.path.isabs(home) else Path.home() / ".local" / "state"  # noqa: PTH117  # "" is no path
    return above / "hivecost"


def _said(settings: Path) -> str:
    import tomllib  # noqa: PLC0415  # only settings need it

    try:
        said = tomllib.loads(settings.read_text()).get("data", "")
    except (OSError, ValueError) as error:
        raise ConfigError(str(settings), f"TOML ({error})") from error
    return said if isinstance(said, str) else ""
