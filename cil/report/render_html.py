"""A document as one self-contained HTML page: style and script are inside it, and it asks for no other address."""

import json
import os
import re
from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from cil.report.document import Block, Document, Drawing, Heading, Links, Paragraph, Table
from cil.report.plots.canvas import PAGE_WIDTH, THEME, page_panels
from cil.report.sections import MARK

_FOLDER = Path(__file__).resolve().parent / "page"


def page(document: Document, base: Path = Path()) -> str:
    """The page. Everything that comes from runs is escaped. base: its folder, for the links to those of runs."""
    title = next((b.text for b in document.blocks if isinstance(b, Heading)), "report")
    theme = ";".join(f"--{name}:{colour}" for name, colour in THEME.items())
    style = (_FOLDER / "style.css").read_text(encoding="utf-8").replace("THEME", theme)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(title)}</title><style>{style}</style></head><body>",
    ]
    for kind, blocks in groupby(document.blocks, key=_kind):
        parts.append(_render(kind, list(blocks), base))
    script = (_FOLDER / "script.js").read_text(encoding="utf-8")
    return "".join([*parts, f"<script>{script}</script></body></html>\n"])


def _kind(block: Block) -> str:
    if isinstance(block, Paragraph):
        return block.kind
    return type(block).__name__


def _render(kind: str, blocks: list[Block], base: Path) -> str:
    inner = "".join(_block(block, base) for block in blocks)
    if kind == "answer":
        return f"<ul>{inner}</ul>"
    return f'<div class="drawings">{inner}</div>' if kind == "Drawing" else inner


def _block(block: Block, base: Path) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return _paragraph(block)
    if isinstance(block, Table):
        return _table(block, base) if block.rows else ""
    return _links(block, base) if isinstance(block, Links) else _drawing(block)


def _paragraph(paragraph: Paragraph) -> str:
    text = escape(paragraph.text if paragraph.kind != "conclusion" else _minus(paragraph.text))
    if paragraph.kind == "answer":
        head, _, rest = _minus(paragraph.text).partition(": ")
        return f"<li><b>{escape(head)}</b>: {escape(rest)}</li>"
    if paragraph.kind == "head":
        when, _, command = paragraph.text.partition(": ")
        return f'<p class="head">{escape(when)}: <code>{escape(command)}</code></p>'
    mark = "<b>Warning.</b> " if paragraph.kind == "warning" else ""
    return f'<p class="{paragraph.kind}">{mark}{text}</p>'


def _anchor(text: str, path: Path, base: Path) -> str:
    address = quote(Path(os.path.relpath(path, base)).as_posix())
    return f'<a href="{escape(address)}/">{escape(text)}</a>'


def _links(links: Links, base: Path) -> str:
    items = "".join(f"<li>{_anchor(text, path, base)}</li>" for text, path in links.places)
    return f"<details><summary>{escape(links.title)}</summary><ul>{items}</ul></details>"


def _table(table: Table, base: Path) -> str:
    head = "".join(f'<th class="{_look(table, i, "")}">{escape(cell)}</th>' for i, cell in enumerate(table.header))
    body = []
    for number, cells in enumerate(table.rows):
        shown = [_cell(table, i, cell) for i, cell in enumerate(cells)]
        if table.links:
            shown[0] = f'<td class="l">{_anchor(cells[0], table.links[number], base)}</td>'
        body.append(f"<tr>{''.join(shown)}</tr>")
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    kind = ' class="sortable"' if table.sortable and len(table.rows) > 1 else ""
    return (
        f'<h3>{escape(table.title)}</h3><div class="scroll"><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>{note}"
    )


def _cell(table: Table, column: int, text: str) -> str:
    shown = text if column < table.left else _minus(text)
    return f'<td class="{_look(table, column, text)}">{escape(shown)}</td>'


def _minus(text: str) -> str:
    """With real minus signs before numbers."""
    return re.sub(r"(?<![\w/])-(?=\d)", "−", text)


def _look(table: Table, column: int, text: str) -> str:
    kind = "l" if column < table.left or len(text) > 40 else "n"
    return f"{kind} sig" if MARK.strip() in text.split() else kind


def _drawing(drawing: Drawing) -> str:
    panels = []
    for svg, hover in page_panels(drawing.plot):
        for one in hover:
            one["points"] = [[x, y, _minus(text)] for x, y, text in one["points"]]
        data = escape(json.dumps(hover, ensure_ascii=False, separators=(",", ":")))
        panels.append(f'<div class="plot" data-hover="{data}">{svg}</div>')
    caption = f"<figcaption>{escape(drawing.caption)}</figcaption>" if drawing.caption else ""
    wide = ' class="wide"' if len(panels) > 1 or drawing.plot.width > PAGE_WIDTH else ""
    return f'<figure{wide}><b>{escape(drawing.title)}</b><div class="panels">{"".join(panels)}</div>{caption}</figure>'


def drawings(document: Document) -> Sequence[Drawing]:
    """The figures of a document, in order."""
    return [block for block in document.blocks if isinstance(block, Drawing)]
