"""The errors a user can cause. Each one is reported in a single line, without a traceback."""


class ConfigError(Exception):
    """The configuration is wrong (exit code 2). The message names the key, what is wrong and what is valid."""


class DataError(Exception):
    """The data on disk is wrong (exit code 1). The message names the path and the reason."""
