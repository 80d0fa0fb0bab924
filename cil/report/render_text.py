"""A document as plain text for the terminal, and as Markdown."""

import textwrap
from collections.abc import Sequence

from cil.report.document import Document, Heading, Paragraph, Table

WIDTH = 110
_MARKS = {"warning": "WARNING: ", "note": "", "answer": "* ", "text": "", "conclusion": "", "head": ""}
_MAX_CELL = 44


def terminal(document: Document) -> str:
    """Plain text; drawings are left out."""
    parts = []
    for block in document.without_page():
        if isinstance(block, Heading):
            parts.append(f"\n{block.text}\n{('=' if block.level == 1 else '-') * len(block.text)}")
        elif isinstance(block, Paragraph):
            indent = "  " if block.kind in ("answer", "warning") else ""
            text = _MARKS[block.kind] + block.text
            parts.append(textwrap.fill(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False))
        elif isinstance(block, Table) and block.rows:
            parts.append(f"\n{block.title}\n{_layout(block)}")
            if block.note:
                parts.append(textwrap.fill(f"({block.note})", WIDTH, break_on_hyphens=False))
    return "\n".join(parts).strip() + "\n"


def _layout(table: Table) -> str:
    """Columns side by side; long texts are broken over several lines of their cell."""
    rows = [[_wrap(cell) for cell in row] for row in (table.header, *table.rows)]
    widths = [max(len(line) for row in rows for line in row[i]) for i in range(len(table.header))]
    lines = []
    for number, row in enumerate(rows):
        for k in range(max(map(len, row))):
            cells = [cell[k] if k < len(cell) else "" for cell in row]
            lines.append(_join(cells, widths, table.left).rstrip())
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _wrap(cell: str) -> list[str]:
    return textwrap.wrap(cell, _MAX_CELL, break_long_words=False, break_on_hyphens=False) or [""]


def _join(cells: Sequence[str], widths: Sequence[int], left: int) -> str:
    sized = [
        cell.ljust(width) if i < left else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(sized)


def markdown(document: Document) -> str:
    """GitHub's Markdown; drawings are left out."""
    parts: list[str] = []
    for block in document.without_page():
        if isinstance(block, Heading):
            parts.append(f"{'#' * block.level} {block.text}")
        elif isinstance(block, Paragraph):
            mark = {"warning": "**Warning:** ", "answer": "- "}.get(block.kind, "")
            text = mark + _plain(block.text)
            if block.kind == "answer" and parts and parts[-1].startswith("- "):
                parts[-1] += f"\n{text}"
            else:
                parts.append(text)
        elif isinstance(block, Table) and block.rows:
            parts += [f"**{block.title}**", _markdown_table(block)]
            if block.note:
                parts.append(_plain(block.note))
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    rule = [":--" if i < table.left else "--:" for i in range(len(table.header))]
    rows = [table.header, rule, *table.rows]
    return "\n".join(
        "| " + " | ".join(_plain(" ".join(cell.split())).replace("|", "\\|") for cell in row) + " |" for row in rows
    )


def _plain(text: str) -> str:
    return text.replace("_", "\\_").replace("*", "\\*").replace("<", "&lt;")
