"""Short ways to compose in tests."""

from cil.planning.plan import Job, plan


def one(*arguments: str) -> Job:
    """The only job of a command line."""
    (job,) = plan(list(arguments)).jobs
    return job
