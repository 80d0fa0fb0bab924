"""Values as people write them."""

from typing import Any


def show(value: Any) -> str:
    """A value as people write it: 3 for 3.0, null for None."""
    if isinstance(value, list):
        return "[" + ", ".join(show(entry) for entry in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
