"""The types that users get and cannot name: annotations of what `hivecost` exports lead there, and no export does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

_ROOT: Final = Path(__file__).parents[2]
STUB: Final = _ROOT / "hivecost" / "__init__.pyi"


class _Found(NamedTuple):
    """What a name means: the module that defines it, and how."""

    module: str
    name: str
    node: ast.AST

    @property
    def is_class(self) -> bool:
        return isinstance(self.node, ast.ClassDef)


def unexported() -> list[str]:
    """Return `module.Class` of every class that is reached, is not exported, and has no underscore on its way."""
    public = _imports(ast.parse(STUB.read_text())).values()
    exports = [found for name, module in public if (found := _find(module, name))]
    seen: dict[tuple[str, str], _Found] = {}
    ahead = list(exports)
    while ahead:
        found = ahead.pop()
        if found[:2] not in seen and not (found.is_class and found.name.startswith("_")):
            seen[found[:2]] = found
            ahead += (one for home, annotation in _annotations(found) for one in _names(home, annotation))
    classes = {place for place, found in seen.items() if found.is_class}
    return sorted(map(".".join, classes - {found[:2] for found in exports}))


def _annotations(found: _Found) -> Iterator[tuple[str, ast.expr]]:
    """Give what types something is said to give or to take, each with the module that understands it.

    A class takes over what its bases say. An alias is what it stands for, an instance is of its class.
    """
    match found.node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() as function:
            yield from ((found.module, annotation) for annotation in _signature(function))
        case ast.Assign(value=ast.Call(func=made)):
            yield found.module, made
        case ast.Assign(value=ast.Name() | ast.Subscript() | ast.BinOp() as stands_for):
            yield found.module, stands_for
        case ast.ClassDef() as node:
            yield from ((found.module, annotation) for annotation in _members(node))
            for base in (one for expression in node.bases for one in _names(found.module, expression)):
                yield from _annotations(base)


def _members(node: ast.ClassDef) -> Iterator[ast.expr]:
    """Give the types of public fields, attributes and methods; what `__init__` takes is for whoever makes one."""
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if not name.startswith("_"):
                yield annotation
            case ast.FunctionDef(name="__init__") as function:
                yield from _attributes(function)
            case ast.FunctionDef() | ast.AsyncFunctionDef() as function if _is_public(function.name):
                yield from _signature(function)


def _signature(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    yield from _parameters(function).values()
    if function.returns is not None:
        yield function.returns


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, ast.expr]:
    arguments = function.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    return {one.arg: one.annotation for one in every if one is not None and one.annotation is not None}


def _attributes(initialiser: ast.FunctionDef) -> Iterator[ast.expr]:
    """Give the types of the public attributes that are set there: annotated, a parameter, or an instance."""
    parameters = _parameters(initialiser)
    for statement in ast.walk(initialiser):
        match statement:
            case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=name), annotation=given):
                pass
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=ast.Call(func=given)):
                pass
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=ast.Name(id=given)):
                given = parameters.get(given)
            case _:
                continue
        if given is not None and not name.startswith("_"):
            yield given


def _is_public(name: str) -> bool:
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def _names(module: str, expression: ast.AST) -> Iterator[_Found]:
    """Give what the names in an expression mean, of those that are ours."""
    match expression:
        case ast.Subscript(value=ast.Name(id="Literal")):
            pass
        case ast.Constant(value=str(text)):
            yield from _names(module, ast.parse(text, mode="eval"))
        case ast.Name(id=name):
            if found := _find(module, name):
                yield found
        case _:
            for child in ast.iter_child_nodes(expression):
                yield from _names(module, child)


def _find(module: str, name: str) -> _Found | None:
    """Return what a name of a module means, wherever that is defined; None for what is not ours."""
    tree = _tree(module)
    if tree is None:
        return None
    for node in _statements(tree):
        match node:
            case ast.ClassDef(name=defined) | ast.FunctionDef(name=defined) | ast.AsyncFunctionDef(name=defined):
                if defined == name:
                    return _Found(module, name, node)
            case ast.Assign(targets=[ast.Name(id=defined)]) | ast.AnnAssign(target=ast.Name(id=defined)):
                if defined == name:
                    return _Found(module, name, node)
    there = _imports(tree).get(name)
    return _find(there[1], there[0]) if there else None


def _imports(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """Return the name and the module behind each name that is imported from somewhere."""
    return {
        alias.asname or alias.name: (alias.name, node.module)
        for node in _statements(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Give the statements of a module, those for type checkers among them."""
    for node in tree.body:
        yield from node.body if isinstance(node, ast.If) else (node,)


@cache
def _tree(module: str) -> ast.Module | None:
    path = _ROOT.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return ast.parse(file.read_text())
    return None
