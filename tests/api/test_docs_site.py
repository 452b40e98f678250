"""The documentation builds as a site, without a dead link, and every page is in its menu."""

from __future__ import annotations

import logging
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

mkdocs = pytest.importorskip("mkdocs.config", reason="the site needs the extra [docs]")
from mkdocs.commands.build import build  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


class Page(HTMLParser):
    """Where a page points to, and what can be pointed to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name in ("id", "name") and value:
                self.anchors.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    config = mkdocs.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True)
    logging.getLogger("mkdocs").setLevel(logging.WARNING)
    build(config)
    return folder


def test_every_page_is_built(site):
    for page in (ROOT / "docs").rglob("*.md"):
        built = site / page.relative_to(ROOT / "docs").with_suffix(".html")
        assert "<h1" in built.read_text("utf-8"), page


def dead_links(site):
    pages = {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                yield path.name, link
            elif parts.fragment and target in pages:
                anchors = pages[target].anchors
                if unquote(parts.fragment) not in anchors:
                    yield path.name, link


def test_no_link_is_dead(site):
    assert list(dead_links(site)) == []


def test_a_dead_link_would_be_found(site):
    page = site / "zz-dead.html"
    page.write_text('<h1 id="a"></h1><a href="index.html#nowhere">x</a><a href="gone.html">y</a>')
    try:
        assert {link for _, link in dead_links(site)} == {"index.html#nowhere", "gone.html"}
    finally:
        page.unlink()


def test_nothing_is_fetched_from_elsewhere(site):
    pattern = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?:https?:)?//")
    assert [path.name for path in site.rglob("*.html") if pattern.search(path.read_text())] == []


def test_links_of_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links and [link for link in links if not (ROOT / link.split("#")[0]).exists()] == []
