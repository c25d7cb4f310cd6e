"""Where a command keeps what it spent, and which settings it takes."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hivecost.backends.places import Place, scheme_of

_NAME: Final = "hivecost.toml"


def find_settings(folder: Path) -> Path | None:
    """Return the nearest hivecost.toml: in the folder, or in one above it; None where there is none.

    Folders in which every user may write, such as /tmp, are passed over.
    """
    own = (above for above in (folder, *folder.parents) if not above.stat().st_mode & stat.S_IWOTH)
    return next((path for above in own if (path := above / _NAME).is_file()), None)


def data_place(given: str, settings: Path | None, said: str, environment: Mapping[str, str]) -> Place:
    """Return where to keep it: what is `given`, HIVECOST_DATA, what the settings have `said`, or the state folder.

    A folder that settings say stands beside their file. Never one in a working folder that nobody named.
    """
    if named := given or environment.get("HIVECOST_DATA", ""):
        return named
    if said and settings is not None:
        return said if scheme_of(said) else settings.parent / said
    return state_folder(environment)


def state_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of this user for what programs keep: XDG_STATE_HOME, else ~/.local/state."""
    home = environment.get("XDG_STATE_HOME", "")
    above = Path(home) if os.path.isabs(home) else Path.home() / ".local" / "state"  # noqa: PTH117  # "" is no path
    return above / "hivecost"
