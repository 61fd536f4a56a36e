"""The documentation as a site: it is built without a warning, is complete, and needs no network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytestmark = pytest.mark.process  # takes several seconds
ROOT = Path(__file__).parents[2]
LOADING = {"link": "href", "script": "src", "img": "src", "source": "srcset", "iframe": "src"}
"""What a browser loads with a page, and where its address stands."""


class Page(HTMLParser):
    """The addresses in a page: what it loads, and where its links lead."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in LOADING and (address := values.get(LOADING[tag])):
            self.loads.append(address)
        if tag == "a" and (address := values.get("href")):
            self.links.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 60
    loaded = {address for page in pages for address in Page(page).loads}
    assert {address for address in loaded if re.match(r"(https?:)?//", address)} == set()
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"url\(['\"]?(?:https?:)?//[^)]*\)", styles) == []


def test_links_lead_to_files_of_the_site(site: Path) -> None:
    """Also those that lead outside of docs/ in the repository."""
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue  # is shown for any address, so its own count from the site's root
        for address in Page(page).links:
            target = address.partition("#")[0]
            if target and ":" not in target:
                assert (page.parent / target).exists(), f"{page.relative_to(site)}: {address}"


def test_sources_that_pages_link_to_are_pages(site: Path) -> None:
    page = site / "source" / "slurm" / "policy.yaml.html"
    assert "preempt_exempt_time" in page.read_text(encoding="utf-8")
    assert "../source/slurm/policy.yaml.html" in Page(site / "how-to" / "administer.html").links
