"""Methods: each one is a module of this package with a class named in `METHOD`."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cil.config.schema import RunConfig
    from cil.methods.base import Method


def make_method(config: "RunConfig") -> "Method":
    """The method of cil/methods/<method.name>.py."""
    return import_module(f"cil.methods.{config.method.name}").METHOD(config)
