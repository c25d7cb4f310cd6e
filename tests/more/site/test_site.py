"""The site of docs/ is built without a warning, has every public name, and needs no other host."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import hivecost as hc

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Every page by its path, as mkdocs builds it with warnings as errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.html")}


def test_every_page_is_in_the_navigation(site):
    """Each page of docs/ is reached from the first one."""
    pages = {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in ROOT.glob("docs/**/*.md")}
    for page in pages - {"index"}:
        assert f'href="{page}/"' in site["index.html"], page


def test_every_public_name_is_documented(site):
    """Each has its place on one page of the API."""
    found = [
        name
        for path, page in site.items()
        if path.startswith("api/")
        for name in re.findall(r'id="hivecost\.(\w+)"', page)
    ]
    assert sorted(found) == sorted(hc.__all__)


def test_the_overview_has_every_module():
    """Those that public names come from, and no other."""
    rooms = re.findall(r"^from (\S+) import", (ROOT / "hivecost" / "__init__.pyi").read_text(), re.MULTILINE)
    table = [line for line in (ROOT / "docs" / "api.md").read_text().splitlines() if line.startswith("|")]
    assert sorted(re.findall(r"`(hivecost\.[\w.]+)`", "".join(table))) == sorted(rooms)


def test_fields_have_what_is_written_beside_them(site):
    """A comment that begins with `#:` is the field's documentation."""
    page = site["api/events/index.html"]
    assert "The model that answered, else the one that was asked for." in page


def test_links_to_other_files_lead_to_copies(site):
    """A page that links to an example has it on the site."""
    assert 'href="../../files/examples/sub_agents.py.txt"' in site["how-to/sub-agents/index.html"]


def test_nothing_is_fetched_from_elsewhere(site):
    """Scripts, styles and images are the site's own."""
    for path, page in site.items():
        for tag in re.findall(r"<(?:script|link|img)[^>]*>", page):
            assert not re.search(r'(?:src|href)="(?:https?:)?//', tag), (path, tag)
