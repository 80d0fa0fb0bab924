"""A document as one self-contained HTML page: no script, no file or address beside it."""

from html import escape
from itertools import groupby

from cil.report.document import Block, Document, Drawing, Heading, Paragraph, Table

_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;color:#111;background:#fff;max-width:1240px;margin:24px auto;padding:0 20px}
h1{font-size:24px;margin:0 0 8px}h2{font-size:19px;margin:34px 0 8px;border-bottom:1px solid #999;padding-bottom:3px}
h3{font-size:15px;margin:22px 0 6px}p{margin:5px 0;max-width:980px}.note{color:#444}
.warning{border:2px solid #000;border-left-width:8px;padding:6px 10px;margin:8px 0;background:#f3f3f3}
ul{margin:8px 0 14px;padding-left:20px}li{margin:4px 0}li b{font-weight:600}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;margin:4px 0}
th,td{padding:3px 8px;border-bottom:1px solid #ccc;vertical-align:top;text-align:right}
th{border-bottom:1.5px solid #333;vertical-align:bottom}td.l,th.l{text-align:left}tr:hover td{background:#f5f5f5}
td.n{white-space:nowrap}
.drawings{display:flex;flex-wrap:wrap;gap:10px 26px;align-items:flex-start}figure{margin:10px 0;max-width:100%}
figcaption{font-size:12.5px;color:#444;max-width:570px}figure b{display:block;margin-bottom:2px}
figure svg{max-width:100%;height:auto}.legend{font-size:13px;max-width:575px;margin:2px 0 4px}
.legend span{display:inline-flex;align-items:center;gap:5px;margin-right:16px}.small figcaption{max-width:370px}
.small b{max-width:372px;font-weight:600}
svg text{font:12px system-ui,sans-serif;fill:#111}svg .g{stroke:#ddd}svg .m{stroke:#777;stroke-dasharray:1 4}
svg .a{stroke:#333;fill:none}details{margin:10px 0}summary{cursor:pointer;font-weight:600}
@media print{body{margin:0;max-width:none;font-size:11px}table{font-size:9.5px}th,td{padding:2px 5px}
figure,tr,.warning{break-inside:avoid}h2,h3{break-after:avoid}tr:hover td{background:none}.scroll{overflow:visible}}
"""


def page(document: Document) -> str:
    """The page. Everything that comes from runs is escaped."""
    title = next((b.text for b in document.blocks if isinstance(b, Heading)), "report")
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
    ]
    for kind, blocks in groupby(document.blocks, key=_kind):
        parts.append(_render(kind, list(blocks)))
    return "".join([*parts, "</body></html>\n"])


def _kind(block: Block) -> str:
    if isinstance(block, Paragraph):
        return block.kind
    return type(block).__name__


def _render(kind: str, blocks: list[Block]) -> str:
    inner = "".join(_block(block) for block in blocks)
    if kind == "answer":
        return f"<ul>{inner}</ul>"
    return f'<div class="drawings">{inner}</div>' if kind == "Drawing" else inner


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        if block.kind == "answer":
            head, _, rest = block.text.partition(": ")
            return f"<li><b>{escape(head)}</b>: {escape(rest)}</li>"
        mark = "<b>Warning.</b> " if block.kind == "warning" else ""
        return f'<p class="{block.kind}">{mark}{escape(block.text)}</p>'
    if isinstance(block, Table):
        return _table(block) if block.rows else ""
    return _drawing(block)


def _table(table: Table) -> str:
    def row(cells: list[str], tag: str) -> str:
        parts = []
        for i, cell in enumerate(cells):
            kind = "l" if i < table.left or (tag == "td" and len(cell) > 40) else "n"
            parts.append(f'<{tag} class="{kind}">{escape(cell)}</{tag}>')
        return f"<tr>{''.join(parts)}</tr>"

    head = row(list(table.header), "th")
    body = "".join(row(list(cells), "td") for cells in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    table_html = f'<div class="scroll"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'
    return f"<h3>{escape(table.title)}</h3>{table_html}{note}"


def _drawing(drawing: Drawing) -> str:
    legend = f'<div class="legend">{drawing.legend}</div>' if drawing.legend else ""
    caption = f"<figcaption>{escape(drawing.caption)}</figcaption>" if drawing.caption else ""
    size = ' class="small"' if drawing.small else ""
    return f"<figure{size}><b>{escape(drawing.title)}</b>{legend}{drawing.svg}{caption}</figure>"
