"""Circles of imports inside the rooms, those for type checkers alone included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

import grimp


def circles() -> list[Set[str]]:
    """Return the sets of siblings, a room itself among them, that import each other around."""
    graph = grimp.build_graph("hivecost", cache_dir=None)
    rooms = sorted(module for module in graph.modules if graph.find_children(module))
    return [circle for room in rooms for circle in circles_of(_siblings(graph, room))]


def _siblings(graph: grimp.ImportGraph, room: str) -> Mapping[str, Set[str]]:
    """Return which of a room's children imports which, each with all that is below it; the room is its `__init__`."""
    children = graph.find_children(room)
    owner = {room: room}
    for child in children:
        owner |= dict.fromkeys({child, *graph.find_descendants(child)}, child)
    imports: dict[str, set[str]] = {name: set() for name in {room, *children}}
    for module, sibling in owner.items():
        found = {owner[one] for one in graph.find_modules_directly_imported_by(module) if one in owner}
        imports[sibling] |= found - {sibling}
    return imports


def circles_of(imports: Mapping[str, Set[str]]) -> Iterator[Set[str]]:
    """Give each set of names that import each other around."""
    reached = {name: _reached(name, imports) for name in imports}
    rest = {name for name, others in reached.items() if name in others}
    while rest:
        first = min(rest)
        circle = {name for name in rest if name in reached[first] and first in reached[name]}
        rest -= circle
        yield circle


def _reached(start: str, imports: Mapping[str, Set[str]]) -> Set[str]:
    """Return all that this one imports, and what that imports; itself only where a way leads back."""
    reached: set[str] = set()
    ahead = list(imports[start])
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += imports[name]
    return reached
