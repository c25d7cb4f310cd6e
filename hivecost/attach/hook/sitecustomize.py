"""Run by Python at its start, because `hivecost run` put this folder on PYTHONPATH. Runs what it shadows, too."""

import sys


def _start():
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here or entry == ""]
    socket_path = os.environ.get("HIVECOST_SOCKET")
    if socket_path:
        sys.path.insert(0, here)
        try:
            import hivecost_hook
        finally:
            sys.path.remove(here)
        hivecost_hook.start(socket_path)
    _run_shadowed()


def _run_shadowed():
    """By its spec: this module stays in sys.modules, where the interpreter looks for it."""
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("sitecustomize")
    if spec is not None and spec.loader is not None and spec.origin != __file__:
        from importlib.util import module_from_spec

        spec.loader.exec_module(module_from_spec(spec))


_start()
