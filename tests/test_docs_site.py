"""The documentation site builds from docs/ without a warning, and loads nothing from elsewhere."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import PROJECT

pytest.importorskip("mkdocs", reason="pip install 'cil[docs]'")
pytest.importorskip("material", reason="pip install 'cil[docs]'")
pytest.importorskip("nbconvert", reason="pip install 'cil[docs]'")

PICTURES = PROJECT / "docs" / "pictures"


def build(project: Path, site: Path) -> subprocess.CompletedProcess:
    """`mkdocs build` of a checkout; strict, as mkdocs.yml says."""
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"}
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(PROJECT, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The parts of the project that the site is made of, to be spoiled."""
    project = tmp_path / "project"
    for folder in ("cil", "docs", "examples", "scripts"):
        unwanted = shutil.ignore_patterns("__pycache__", "outputs")
        shutil.copytree(PROJECT / folder, project / folder, ignore=unwanted)
    for path in PROJECT.iterdir():
        if path.is_file():
            shutil.copy(path, project)
    return project


def test_every_page_is_in_the_navigation(site: Path):
    start = (site / "index.html").read_text()

    for page in (PROJECT / "docs").glob("*.md"):
        assert f'href="{page.stem}.html"' in start, page.name


def test_nothing_is_loaded_from_elsewhere(site: Path):
    loads = re.compile(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?(?:https?:)?//|<link[^>]*\shref=\"?(?:https?:)?//")
    for page in site.rglob("*.html"):
        assert not loads.search(page.read_text()), page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text()), sheet


def test_files_outside_docs_are_pages_too(site: Path):
    losses = (site / "losses.html").read_text()

    assert 'href="project/CONTRIBUTING.html#a-loss"' in losses
    assert 'href="project/cil/losses/base.py.html"' in losses
    assert "class ContrastiveLoss" in re.sub(r"<[^>]+>", "", (site / "project/cil/losses/base.py.html").read_text())
    assert (
        'href="../methods.html"' in (site / "project/index.html").read_text()
    )  # a link of README.md to docs/methods.md


def test_notebooks_are_shown_with_what_they_drew(site: Path):
    pages = {name: (site / f"project/examples/{name}.ipynb.html").read_text() for name in ("first_run", "compare")}

    for page in pages.values():
        pictures = re.findall(r'<img[^>]*src="([^"]+\.png)"', page)
        assert pictures and all((site / "project/examples" / picture).is_file() for picture in pictures)
        assert 'href="../../glossary.html"' in page
    assert "95 % interval" in pages["compare"]


def test_a_folder_is_a_list_of_its_files(copy: Path):
    with (copy / "docs" / "losses.md").open("a") as file:
        file.write("\nSee [all](../cil/losses/).\n")

    done = build(copy, copy / "site")

    assert done.returncode == 0, done.stderr
    assert 'href="project/cil/losses/index.html"' in (copy / "site/losses.html").read_text()
    assert 'href="ant.py.html"' in (copy / "site/project/cil/losses/index.html").read_text()
    assert (copy / "site/project/cil/losses/ant.py.html").is_file()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("See [it](nowhere.md).", "nowhere.md"),
        ("See [it](../nowhere.md).", "../nowhere.md"),
        ("See [it](../cil/losses/nowhere.py).", "../cil/losses/nowhere.py"),
        ("See [it](glossary.md#nothing-of-this-name).", "nothing-of-this-name"),
        ("![It](pictures/nowhere.png)", "pictures/nowhere.png"),
    ],
)
def test_a_broken_link_fails(copy: Path, change: str, complaint: str):
    with (copy / "docs" / "losses.md").open("a") as file:
        file.write(f"\n{change}\n")

    done = build(copy, copy / "site")

    assert done.returncode != 0
    assert complaint in done.stderr and "losses.md" in done.stderr


def test_a_page_outside_the_navigation_fails(copy: Path):
    (copy / "docs" / "forgotten.md").write_text("# Forgotten\n")

    done = build(copy, copy / "site")

    assert done.returncode != 0 and "forgotten.md" in done.stderr


def test_pictures_are_small_and_shown():
    text = "".join(page.read_text() for page in (PROJECT / "docs").glob("*.md"))

    for picture in PICTURES.iterdir():
        assert picture.stat().st_size < 100_000, picture.name
        assert f"(pictures/{picture.name})" in text, picture.name
