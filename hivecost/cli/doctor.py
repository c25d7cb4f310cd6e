"""`hivecost doctor`: whether hivecost meters what is installed here. Reads its own arguments."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from hivecost.cli.help import COMMANDS
from hivecost.cli.quick import SHARED, Option, parsed, usage
from hivecost.errors import ConfigError
from hivecost.plain_text import printable

OPTIONS: Final = {
    "python": Option("PYTHON", "The Python that the agents run with; hivecost's own without."),
    "data": SHARED["data"],
    "json": SHARED["json"],
    "help": SHARED["help"],
}
#: Lists what a Python has installed, on any version from 3.9 on.
_LIST: Final = (
    "import importlib.metadata as m, json; "
    "print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions() if d.metadata['Name']}))"
)


def run(arguments: Sequence[str]) -> None:
    """Print what was found; exit status 1 where something does not do what it should. Raise ConfigError."""
    import asyncio  # noqa: PLC0415  # help waits for nothing

    from hivecost.attach.doctor import Environment, diagnose, lines  # noqa: PLC0415  # the same
    from hivecost.backends.data_place import data_place  # noqa: PLC0415  # the same

    options = parsed("doctor", arguments, OPTIONS)
    if "help" in options:
        print(usage("doctor", COMMANDS["doctor"], OPTIONS))  # noqa: T201  # what was asked for
        return
    python = options.get("python") or sys.executable
    environment = Environment(python=python, packages=_packages(python), place=data_place(options.get("data", "")))
    findings = asyncio.run(diagnose(environment))
    if "json" in options:
        print(json.dumps([{"status": one.status, "subject": one.subject, "text": one.text} for one in findings]))  # noqa: T201  # what was asked for
    else:
        print("\n".join(map(printable, lines(findings))))  # noqa: T201  # the same
    sys.exit(any(finding.status == "fail" for finding in findings))


def _packages(python: str) -> Mapping[str, str]:
    try:
        listed = subprocess.run([python, "-c", _LIST], capture_output=True, check=True)  # noqa: S603  # the user's own
        packages: Mapping[str, str] = json.loads(listed.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise ConfigError("doctor --python", f"a Python from 3.9 on ({error})", got=python) from error
    return packages
