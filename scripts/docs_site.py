"""Hooks of `mkdocs build`: what docs/ links to outside itself becomes part of the site.

On GitHub such a link (`../README.md`, `../cil/losses/ant.py`) leads to the file. In the site it leads to a page that is
made of the file: Markdown as it is, notebooks with their outputs, anything else as a block of code. A folder becomes a
list of its files. A link to a file that does not exist is a warning, which a strict build turns into a failure.
"""

import logging
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

PROJECT = Path(__file__).resolve().parents[1]
DOCS = "docs/"
OUTSIDE = "project/"
"""Where files from outside docs/ are in the site, by their path in the repository."""

LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s#:]+)(?=[)#])")
"""The target of a Markdown link, without its anchor; addresses with a scheme are left out."""

LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml"}

log = logging.getLogger("mkdocs.plugins.docs_site")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside docs/ that a page links to, or the navigation names, and for what those name."""
    waiting = [file.src_uri for file in files.documentation_pages()] + list(_named_in(config.nav))
    seen = set(waiting)
    while waiting:
        uri = waiting.pop()
        path = _path_in_repository(uri)
        if not (PROJECT / path).exists():
            continue  # mkdocs itself says where a page of docs/ is missing
        if uri.startswith(OUTSIDE):
            for file in _made_of(path, config):
                files.append(file)
        found = {_uri(target) for target in _targets(_text(path), path)} - seen
        waiting += found
        seen |= found
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn links between files of the repository into links between pages."""
    path = _path_in_repository(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        target = _resolved(match["target"], path)
        if not (PROJECT / target).exists():
            return match["target"]  # a picture of a notebook, or a fault that mkdocs names
        return posixpath.relpath(_uri(target), posixpath.dirname(page.file.src_uri) or ".")

    return LINK.sub(link, markdown)


def _named_in(nav: object) -> Iterator[str]:
    """Pages from outside docs/ in the navigation, a tree of lists and dictionaries."""
    if isinstance(nav, str):
        if nav.startswith(OUTSIDE):
            yield nav
    elif isinstance(nav, Iterable):
        for child in nav.values() if isinstance(nav, dict) else nav:
            yield from _named_in(child)


def _targets(markdown: str, path: str) -> set[str]:
    """The existing files that the Markdown of the file `path` links to, as paths in the repository."""
    found = {_resolved(match["target"], path) for match in LINK.finditer(markdown)}
    return {target for target in found if (PROJECT / target).exists() and not target.startswith("..")}


def _resolved(target: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def _uri(path: str) -> str:
    """The source path in the site of a file of the repository."""
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    if (PROJECT / path).is_dir():
        return f"{OUTSIDE}{path}/index.md"
    if path.endswith(".md"):
        return OUTSIDE + path
    return f"{OUTSIDE}{path}.md"


def _path_in_repository(uri: str) -> str:
    """The opposite of `_uri`."""
    if not uri.startswith(OUTSIDE):
        return DOCS + uri
    path = uri.removeprefix(OUTSIDE)
    return path if (PROJECT / path).is_file() else path.removesuffix("/index.md").removesuffix(".md")


def _text(path: str) -> str:
    """What may hold links: a file that is read as Markdown, or the list made of a folder."""
    source = PROJECT / path
    if source.is_dir():
        return _listing(path)
    return source.read_text(encoding="utf-8") if source.suffix in (".md", ".ipynb") else ""


def _listing(path: str) -> str:
    """A folder's page. Links are relative to the folder above, where the path itself lies."""
    names = sorted(one.name for one in (PROJECT / path).iterdir() if one.is_file() and not one.name.startswith("."))
    links = "".join(f"- [{name}]({posixpath.basename(path)}/{name})\n" for name in names)
    return f"# {path}\n\n{links}"


def _made_of(path: str, config: MkDocsConfig) -> Iterator[File]:
    """The page made of a file, and the pictures on it."""
    source = PROJECT / path
    if source.suffix == ".ipynb":
        folder = f"{source.stem}_files"
        body, resources = MarkdownExporter().from_filename(str(source), resources={"output_files_dir": folder})
        for name, content in resources["outputs"].items():
            yield File.generated(config, posixpath.join(OUTSIDE, posixpath.dirname(path), name), content=content)
    elif source.is_dir():
        body = _listing(path)
    elif source.suffix == ".md":
        body = source.read_text(encoding="utf-8")
    else:
        language = LANGUAGES.get(source.suffix, "text")
        body = f"# {path}\n\n~~~~{language}\n{source.read_text(encoding='utf-8').rstrip()}\n~~~~\n"
    yield File.generated(config, _uri(path), content=body)
