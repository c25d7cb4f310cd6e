"""A hook of mkdocs: makes the pages of the API from the list of public names, and takes along what pages link to.

A page of `docs/` may link to any file of the repository. On the site such a file is a text beside the pages.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[2]
STUB: Final = ROOT / "hivecost" / "__init__.pyi"
#: Where files from outside `docs/` are on the site.
_OUTSIDE: Final = "files"
_LINK: Final = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def rooms() -> dict[str, list[str]]:
    """Return the modules that public names come from, and the names of each, as the stub lists them."""
    found = re.findall(r"^from (\S+) import \(([^)]*)\)", STUB.read_text(), re.MULTILINE)
    return {room: re.findall(r"(\w+) as", names) for room, names in found}


def floor_of(room: str) -> int:
    """Return how far down a module is in the layers that import-linter checks; 0 is the highest."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = next(one["layers"] for one in contracts if one["type"] == "layers")
    return next(number for number, floor in enumerate(floors) if room.split(".")[1] in floor.split(" | "))


def page_of(room: str) -> str:
    """Return where the page of a module is: `hivecost.backends.sqlite` is on `api/sqlite.md`."""
    return f"api/{room.rpartition('.')[2]}.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the API into the navigation, the highest floor first."""
    pages = [{room: page_of(room)} for room in sorted(rooms(), key=lambda room: (floor_of(room), room))]
    config.nav = [*(config.nav or ()), {"API": [{"Overview": "api.md"}, *pages]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each module with public names, and the files that pages link to."""
    linked = {path for file in files.documentation_pages() for path in _outside(file.content_string, file).values()}
    for room, names in rooms().items():
        text = "\n".join([f"# {room}\n\nImport these names from `hivecost`.\n", *(f"::: hivecost.{n}" for n in names)])
        files.append(File.generated(config, page_of(room), content=text))
    for path in linked:
        files.append(File.generated(config, _on_site(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links that leave `docs/` to the copies on the site."""
    outside = _outside(markdown, page.file)
    folder = posixpath.dirname(page.file.src_uri)

    def lead(link: re.Match[str]) -> str:
        path = outside.get(link[1])
        return link[0] if path is None else f"]({posixpath.relpath(_on_site(path), folder or '.')}"

    return _LINK.sub(lead, markdown)


def _outside(markdown: str, file: File) -> Mapping[str, str]:
    """Return the links of a page that leave `docs/`, and the paths in the repository that they mean."""
    folder = posixpath.join("docs", posixpath.dirname(file.src_uri))
    paths = {link: posixpath.normpath(posixpath.join(folder, link)) for link in _LINK.findall(markdown)}
    return {link: path for link, path in paths.items() if not path.startswith("docs/")}


def _on_site(path: str) -> str:
    """Return the path of a copy on the site, as text, so that browsers show it."""
    return f"{_OUTSIDE}/{path}.txt"
