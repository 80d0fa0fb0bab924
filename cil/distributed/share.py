"""Which rows of a batch a process works on. Imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """Part `rank` of `of` parts: every `of`-th row, so that any stretch of rows is shared out evenly too.

    Sizes differ by one row at most, and may be 0.
    """

    rank: int = 0
    of: int = 1

    def rows(self, n: int) -> slice:
        """The rows of `n` that are this part's, in order."""
        return slice(self.rank, n, self.of)

    def size(self, n: int) -> int:
        """How many of `n` rows it has."""
        return len(range(self.rank, n, self.of))

    def all(self) -> list["Share"]:
        """Every part, in order."""
        return [Share(part, self.of) for part in range(self.of)]


WHOLE = Share()
"""All rows: of a process that works alone, or of a batch that every process computes whole."""
