"""The error that ends the report with one line."""


class ReportError(Exception):
    """The request cannot be answered (exit code 2): a bad argument or path, or runs that must not be mixed."""
