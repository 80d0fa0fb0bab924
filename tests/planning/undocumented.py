"""A schema with a field that lacks its text."""

from dataclasses import dataclass


@dataclass
class Half:
    told: int = 1
    """This one."""
    untold: int = 2
