"""What a report is made of, whatever it is rendered to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cil.report.plots.canvas import Plot


@dataclass(frozen=True)
class Heading:
    """A title; level 1 is the page's."""

    text: str
    level: int = 2
    page_only: bool = False
    """For the HTML page only, like a drawing."""


@dataclass(frozen=True)
class Paragraph:
    """A text. kind: text, head, conclusion, answer (one of a list), warning or note."""

    text: str
    kind: str = "text"
    page_only: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts. The first `left` columns are texts, the rest numbers."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    note: str = ""
    page_only: bool = False
    links: Sequence[Path] = ()
    """Folder that the first cell of each row links to, on the page."""
    sortable: bool = True
    """Whether each row makes sense by itself."""


@dataclass(frozen=True)
class Drawing:
    """A figure, drawn when it is asked for: on the page, and as files of its own."""

    title: str
    plot: Plot
    caption: str = ""
    page_only: bool = True


@dataclass(frozen=True)
class Links:
    """Folders to go to, behind a line that opens: (text, folder)."""

    title: str
    places: Sequence[tuple[str, Path]]
    page_only: bool = True


Block = Heading | Paragraph | Table | Drawing | Links


@dataclass
class Document:
    """The blocks of a report, in order."""

    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> None:
        """Append blocks."""
        self.blocks += blocks

    def without_page(self) -> list[Block]:
        """The blocks that plain text can show."""
        return [block for block in self.blocks if not block.page_only]

    def texts(self, texts: Sequence[str], kind: str = "text") -> None:
        """Append paragraphs."""
        self.blocks += [Paragraph(text, kind) for text in texts]
