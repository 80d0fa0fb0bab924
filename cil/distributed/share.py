"""Which rows of a batch a process works on. Imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """Part `rank` of `of` parts; sizes differ by one row at most, and may be 0."""

    rank: int = 0
    of: int = 1

    def rows(self, n: int) -> slice:
        """The rows of `n` that are this part's, in order."""
        return slice(n * self.rank // self.of, n * (self.rank + 1) // self.of)

    def sizes(self, n: int) -> list[int]:
        """How many of `n` rows each part has."""
        return [n * (part + 1) // self.of - n * part // self.of for part in range(self.of)]


WHOLE = Share()
"""All rows: of a process that works alone, or of a batch that every process computes whole."""
