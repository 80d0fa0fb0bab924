"""What a report is made of, whatever it is rendered to."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Heading:
    """A title; level 1 is the page's."""

    text: str
    level: int = 2
    page_only: bool = False
    """For the HTML page only, like a drawing."""


@dataclass(frozen=True)
class Paragraph:
    """A text. kind: text, answer (one of a list), warning or note."""

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
    latex: bool = False
    """Whether the LaTeX file holds it."""
    page_only: bool = False


@dataclass(frozen=True)
class Drawing:
    """An SVG picture with its legend, for the page only."""

    title: str
    svg: str
    legend: str = ""
    caption: str = ""
    small: bool = False
    page_only: bool = True


Block = Heading | Paragraph | Table | Drawing


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
