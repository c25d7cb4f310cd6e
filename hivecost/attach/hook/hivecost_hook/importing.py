"""Calls a function with a module once that is imported, by the program and when it wants to."""

import sys

_functions = {}


class _Finder:
    """Finds nothing itself: it has the loaders of some modules call us after they have done their work."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """As import asks."""
        functions = _functions.pop(name, None)
        if functions is None:
            return None
        spec = None
        for finder in sys.meta_path:
            if finder is not _Finder and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    break
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            _functions[name] = functions
            return spec
        spec.loader = _Loader(spec.loader, functions)
        return spec


class _Loader:
    """The loader of a module, which calls functions with what it loaded."""

    def __init__(self, loader, functions):
        self._loader = loader
        self._functions = functions

    def create_module(self, spec):
        """As import asks."""
        return self._loader.create_module(spec)

    def exec_module(self, module):
        """As import asks; the module is then left as if its own loader alone had done it."""
        self._loader.exec_module(module)
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        for function in self._functions:
            function(module)

    def __getattr__(self, name):
        return getattr(self._loader, name)


def when_imported(name, function):
    """Call `function(module)` now if it is imported, else when it is."""
    module = sys.modules.get(name)
    if module is not None:
        function(module)
        return
    _functions.setdefault(name, []).append(function)
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
