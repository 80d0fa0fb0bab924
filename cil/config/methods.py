"""Which methods there are, and which settings each one uses: read from the files of cil/methods, importing none.

A method is a module with a top-level `METHOD = ...`. Its literal `USES` names what it needs of the groups and keys
that a method can do without. Its literal `PUBLISHED`, where there is one, gives the settings it was published with,
where they are not those of the data set's file. Its literal `PREDICTS` names the evaluation head it is to be judged
by, where that is not the classifier.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Any

from cil.config.names import suggestion
from cil.errors import ConfigError

FOLDER = Path(__file__).resolve().parent.parent / "methods"


def available_methods() -> list[str]:
    """Names valid for `method.name`, sorted."""
    return sorted(_methods(FOLDER))


def uses(method: str) -> tuple[str, ...]:
    """Groups and keys that the method uses, of those that a method can do without.

    Raises ConfigError for an unknown method, and for a file that does not say it.
    """
    found = _methods(FOLDER)
    if method not in found:
        raise ConfigError(f"method.name: no method {method!r}; {suggestion(method, sorted(found))}")
    path = FOLDER / f"{method}.py"
    used = _literal(found[method].get("USES"))
    if not isinstance(used, tuple) or not all(isinstance(entry, str) for entry in used):
        raise ConfigError(
            f'method.name: {path} does not say what {method} uses; it needs a line such as USES = ("memory",)'
        )
    return used


def published(method: str, key: str, otherwise: Any) -> Any:
    """The value of `key` that the method was published with, or `otherwise`. For data sets that results exist of."""
    settings = _literal(_methods(FOLDER).get(method, {}).get("PUBLISHED"))
    return settings.get(key, otherwise) if isinstance(settings, dict) else otherwise


def predicts(method: str) -> str:
    """The evaluation head that the method predicts with; the classifier for a method that is not known."""
    head = _literal(_methods(FOLDER).get(method, {}).get("PREDICTS"))
    return head if isinstance(head, str) else "classifier"


def _literal(value: ast.expr | None) -> Any:
    """What is written there; None if it is no literal."""
    try:
        return None if value is None else ast.literal_eval(value)
    except ValueError:
        return None


@cache
def _methods(folder: Path) -> dict[str, dict[str, ast.expr]]:
    """Method -> the top-level names of its file and what they are set to."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "METHOD" in text:
            assigned = _assigned(ast.parse(text, str(path)))
            if "METHOD" in assigned:
                found[path.stem] = assigned
    return found


def _assigned(module: ast.Module) -> dict[str, ast.expr]:
    """Top-level names of a module and what they are set to, annotated ones too."""
    values: dict[str, ast.expr] = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign):
            values |= {target.id: statement.value for target in statement.targets if isinstance(target, ast.Name)}
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            values[statement.target.id] = statement.value
    return values
