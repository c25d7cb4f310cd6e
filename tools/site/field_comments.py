"""An extension of griffe: a comment that begins with `#:` above a field is its documentation."""

from __future__ import annotations

import ast
from typing import Any

import griffe


class FieldComments(griffe.Extension):
    """Gives attributes without a docstring the text of the `#:` lines above them."""

    def on_attribute_instance(self, *, node: ast.AST | griffe.ObjectNode, attr: griffe.Attribute, **_: Any) -> None:
        """Read the lines above the field."""
        if not isinstance(node, ast.AST) or attr.docstring or isinstance(attr.filepath, list):
            return
        lines = attr.lines_collection[attr.filepath]
        first = last = (attr.lineno or 1) - 1
        while first and lines[first - 1].lstrip().startswith("#:"):
            first -= 1
        text = "\n".join(line.lstrip().removeprefix("#:").removeprefix(" ") for line in lines[first:last])
        if text:
            attr.docstring = griffe.Docstring(text, lineno=first + 1, endlineno=last, parent=attr)
