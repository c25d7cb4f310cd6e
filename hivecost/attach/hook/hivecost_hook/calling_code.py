"""The line of the program's own code that makes a call."""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_LIBRARY = os.path.dirname(os.__file__)


def _working_folder():
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return _HERE


#: That of the beginning: programs may go elsewhere later.
_FOLDER = _working_folder()
_DEPTH_MAX = 200
#: File name -> as it is shown; "" for code that is not the program's own.
_shown = {}
#: Programs make names of files, too: after so many all are forgotten.
_SHOWN_MAX = 10_000


def where():
    """Return the line of the program's own code that makes the call, relative to the folder it began in; "" if none."""
    frame, depth = sys._getframe(1), 0
    while frame is not None and depth < _DEPTH_MAX:
        name = frame.f_code.co_filename
        shown = _shown.get(name)
        if shown is None:
            shown = _show(name)
            if len(_shown) >= _SHOWN_MAX:
                _shown.clear()
            _shown[name] = shown
        if shown:
            return "%s:%d" % (shown, frame.f_lineno)
        frame, depth = frame.f_back, depth + 1
    return ""


def _show(name):
    try:
        path = os.path.abspath(name)
        relative = os.path.relpath(path, _FOLDER)
    except (OSError, ValueError):
        return ""
    is_own = not (relative.startswith(os.pardir) or name.startswith("<") or path.startswith(_HERE))
    is_library = "site-packages" in path or "dist-packages" in path or path.startswith(_LIBRARY)
    return relative if is_own and not is_library else ""
