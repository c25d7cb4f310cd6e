"""The first words to hivecost. Each Python says them at its start, so this imports next to nothing."""

import _socket  # what `socket` is made of, which takes some milliseconds to import
import os
import struct
import sys

from hivecost_hook.frameworks import plain

VERSION = 1
#: How long the other side may take to read.
SEND_S = 10
#: Options of the interpreter that have no value: several may stand in one argument, before one that has.
_FLAGS = "bBdEhiIOPqRsSuvVx?"


class Line:
    """The connection to hivecost, until something is asked over it."""

    def __init__(self, path):
        self._path = path
        self._socket = None
        try:
            self._socket = _greeted(path)
        except OSError:
            pass  # said when something is asked

    def take(self):
        """Return the file descriptor of a connection, which is the caller's from here on. Raise OSError."""
        greeted, self._socket = self._socket, None
        return (greeted or _greeted(self._path)).detach()

    def close(self):
        """Close it if nobody took it: at the end of the program, and in a forked child, whose parent's it is."""
        greeted, self._socket = self._socket, None
        if greeted is not None:
            greeted.close()


def _greeted(path):
    """Return a connection over which hello was said. Raise OSError."""
    greeted = _socket.socket(_socket.AF_UNIX)
    try:
        greeted.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, struct.pack("ll", SEND_S, 0))
        greeted.connect(path)
        greeted.sendall(_hello())
    except OSError:
        greeted.close()
        raise
    return greeted


def _hello():
    script = _script()
    if not (script.isascii() and script.isprintable()) or '"' in script or "\\" in script:
        import json

        script = json.dumps(script)[1:-1]
    return b'{"op":"hello","version":%d,"pid":%d,"script":"%s"}\n' % (VERSION, os.getpid(), script.encode())


def _script():
    arguments = getattr(sys, "orig_argv", None) or [sys.executable, *getattr(sys, "argv", [])[:1]]
    return plain(script_name(arguments))


def script_name(arguments):
    """Return the name of the script or module that a command line of Python runs, never its arguments; "" if none."""
    rest = iter(arguments[1:])
    for argument in rest:
        if argument == "-":
            return ""
        if not argument.startswith("-"):
            return os.path.basename(argument)
        flags = argument[1:].lstrip(_FLAGS)
        letter, value = flags[:1], flags[1:]
        if letter == "m":
            return value or next(rest, "")
        if letter == "c":
            return ""
        if letter in ("W", "X") and not value:
            next(rest, "")
    return ""
