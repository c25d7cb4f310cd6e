"""An extension of griffe: a comment that begins with `#:` above a field is its documentation."""

from __future__ import annotations

import ast
from typing import Any

import griffe


class FieldComments(griffe.Extension):
    """Gives attributes the text of the `#:` lines above them, and hides what a method assigns to them."""

    def on_attribute_instance(self, *, node: ast.AST | griffe.ObjectNode, attr: griffe.Attribute, **_: Any) -> None:
        """Read the lines above the field; a value that is no default of the class is how it is made."""
        if "instance-attribute" in attr.labels and "class-attribute" not in attr.labels:
            attr.value = None
        if isinstance(node, ast.AST) and not attr.docstring and not isinstance(attr.filepath, list):
            lines = attr.lines_collection[attr.filepath]
            first = last = (attr.lineno or 1) - 1
            while first and lines[first - 1].lstrip().startswith("#:"):
                first -= 1
            text = "\n".join(line.lstrip().removeprefix("#:").removeprefix(" ") for line in lines[first:last])
            if text:
                attr.docstring = griffe.Docstring(text, lineno=first + 1, endlineno=last, parent=attr)
