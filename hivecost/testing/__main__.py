"""The provider emulator as its own process: `python -m hivecost.testing --bill bill.jsonl`.

Its first line of output is its URL. It runs until SIGINT or SIGTERM; its bill survives SIGKILL.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

import msgspec

from hivecost.testing.behaviour import Behaviour
from hivecost.testing.emulator import ProviderEmulator
from hivecost.testing.models import DATED_MODELS


def _behaviour(text: str) -> Behaviour:
    try:
        return msgspec.json.decode(text, type=Behaviour)
    except msgspec.DecodeError as error:
        raise argparse.ArgumentTypeError(f"no Behaviour: {error}") from None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hivecost.testing", description="An LLM provider on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0, the default: a free one")
    parser.add_argument("--bill", type=Path, help="append each billed request to this file, one JSON object per line")
    parser.add_argument("--fsync", action="store_true", help="make the bill survive a power loss too")
    parser.add_argument("--behaviour", type=_behaviour, default=Behaviour(), help="what every request meets, as JSON")
    parser.add_argument("--dated-models", action="store_true", help="answer gpt-4o as gpt-4o-2024-08-06, and such")
    return parser.parse_args()


def main() -> None:
    """Serve until a signal says stop."""
    arguments = _arguments()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with ProviderEmulator(
        arguments.behaviour,
        port=arguments.port,
        bill_path=arguments.bill,
        fsync=arguments.fsync,
        aliases=DATED_MODELS if arguments.dated_models else None,
    ) as provider:
        sys.stdout.write(f"{provider.url}\n")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
