"""What makes a site of docs/: a hook of MkDocs, named in mkdocs.yml.

The pages are written to be read in the repository, so they link to files outside of docs/: to sources, scripts and
other folders' README.md. In the site README.md is the first page, and every such file that a page links to is a page
under source/. A link to a folder leads to its README.md, or to a list of its files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)#\s]+)(?P<after>(?:#[^)\s]*)?\))")
FENCE = re.compile(r"^ *(```|~~~)")
LANGUAGES = {".py": "python", ".sh": "bash", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds README.md, and all that is linked to from outside of docs/, also from what is added."""
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text(encoding="utf-8")))
    to_read = [(file.src_uri, file.content_string) for file in files.documentation_pages()]
    while to_read:
        page, text = to_read.pop()
        for target in _targets(text):
            path = _linked(page, target)
            if path is None or not path.exists():
                continue  # MkDocs says so
            place = _place(path)
            if place.startswith("source/") and place not in files.src_uris:
                content = _content(path)
                files.append(File.generated(config, place, content=content))
                if place.endswith("README.md"):
                    to_read.append((place, content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """The text with links that lead to the same files in the site."""
    here = page.file.src_uri

    def of_the_site(link: re.Match[str]) -> str:
        path = _linked(here, link["target"])
        if path is None or not path.exists():
            return link[0]
        target = os.path.relpath(_place(path), PurePosixPath(here).parent)
        return f"{link['before']}{target}{link['after']}"

    is_source = here.startswith("source/") and not here.endswith("README.md")
    return (
        markdown
        if is_source
        else "".join(line if code else LINK.sub(of_the_site, line) for line, code in _lines(markdown))
    )


def _lines(text: str) -> Iterable[tuple[str, bool]]:
    """Each line, and whether it belongs to a listing."""
    code = False
    for line in text.splitlines(keepends=True):
        fence = FENCE.match(line) is not None
        yield line, code or fence
        code ^= fence


def _targets(text: str) -> Iterable[str]:
    return (link["target"] for line, code in _lines(text) if not code for link in LINK.finditer(line))


def _linked(page: str, target: str) -> Path | None:
    """The file of the repository that a link leads to; None if it leads elsewhere."""
    if re.match(r"[a-z]+:", target):
        return None
    return Path(os.path.normpath(_origin(page).parent / target))


def _origin(page: str) -> Path:
    """The file of the repository that a page of the site was made of."""
    if page == "index.md":
        return ROOT / "README.md"
    if page.startswith("source/"):
        return ROOT / page.removeprefix("source/")
    return ROOT / "docs" / page


def _place(path: Path) -> str:
    """Where a file of the repository is in the site."""
    name = path.relative_to(ROOT).as_posix()
    if name == "README.md":
        return "index.md"
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    if path.is_dir():
        return f"source/{name}/README.md"
    return f"source/{name}" if path.suffix == ".md" else f"source/{name}.md"


def _content(path: Path) -> str:
    if path.is_dir():
        readme = path / "README.md"
        return readme.read_text(encoding="utf-8") if readme.is_file() else _listing(path)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    return f"# {path.relative_to(ROOT)}\n\n``````{LANGUAGES.get(path.suffix, 'text')}\n{text}``````\n"


def _listing(folder: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir() if not path.name.startswith(("_", ".")))
    return f"# {folder.relative_to(ROOT)}\n\n" + "".join(f"- `{name}`\n" for name in names)
