"""Train one run or a sweep: `python -m cil.train dataset=cifar100 split=10-10 loss=ant_adaptive`.

First every job is composed and checked (cil/planning), then Hydra starts each one (cil/run/job.py), which builds
data and method and trains (cil/run/experiment.py, cil/engine/loop.py).
"""

import os
import signal
import sys
from types import ModuleType
from typing import Any

import hydra

from cil.config.locations import check_can_be_made, config_dir
from cil.distributed.launch import launched
from cil.errors import ConfigError, DataError
from cil.planning.plan import VERSION_BASE, Plan, plan
from cil.records.output import lasting_output
from cil.run.job import SingleRunFailed, continue_run, refuse_edited_list, repeat_run, run_job
from cil.run.signals import Interrupted, signals_raise, signals_wait
from cil.sweep.dry_run import show_plan
from cil.sweep.optimised import best_text, prepare, split_warnings
from cil.sweep.runner import run_sweep


def main() -> int:
    """Exit code: 0 done, 1 a run failed, 2 the configuration is wrong, 128 + signal interrupted."""
    launch = launched()
    if launch is None:
        return _main()
    from cil.run.together import dismiss_others, follow  # needs torch

    if launch.rank:
        return follow()
    try:
        return _main()
    finally:
        dismiss_others()


def _main() -> int:
    with lasting_output():
        try:
            with signals_raise():
                planned = plan(sys.argv[1:])
                for warning in planned.warnings:
                    print(f"warning: {warning}", file=sys.stderr)
                return _start(planned)
        except ConfigError as error:
            return _stop(f"configuration error: {error}", 2)
        except DataError as error:
            return _stop(f"data error: {error}", 1)
        except Interrupted as error:
            return _stop(f"interrupted: {error}", 128 + error.signum)
        except KeyboardInterrupt:
            return _stop("interrupted", 128 + signal.SIGINT)
        except OSError as error:
            return _stop(f"failed: {error}", 1)
        except Exception as error:
            more = "".join(f" ({note})" for note in getattr(error, "__notes__", []))
            return _stop(f"failed: {type(error).__name__}: {error}{more}", 1)


def _start(planned: Plan) -> int:
    if planned.text is not None:
        print(planned.text, end="")
        return 0
    if planned.launch.dry_run and not planned.show:
        print(show_plan(planned))
        return 0
    if planned.launch.probe and not planned.show:
        with signals_wait():
            from cil.sweep.probe_report import probe  # needs torch

        print(probe(planned))
        return 0
    _check_places(planned)
    if planned.grid:
        if planned.rerun is not None:
            for job in planned.jobs:
                refuse_edited_list(job, planned.rerun)
        return run_sweep(planned, _no_effect(planned))
    if planned.resume is not None:
        continue_run(planned.jobs[0], planned.resume)
    elif planned.rerun is not None:
        repeat_run(planned.jobs[0], planned.rerun, planned.place)
    elif planned.multirun:
        for warning in split_warnings(planned):
            print(f"warning: {warning}", file=sys.stderr)
        prepare(planned)
        _hydra(planned)
        if (best := best_text(planned)) is not None:
            print(best, flush=True)
    else:
        _hydra(planned)
    return 0


def _check_places(planned: Plan) -> None:
    """Raises ConfigError where the folder of a run cannot be made."""
    if planned.place is not None and not planned.show:
        key = "hydra.sweep.dir" if planned.multirun else "hydra.run.dir"
        check_can_be_made(planned.place, f"choose another place with {key}=DIR")
    for job in planned.jobs if planned.grid else ():
        if job.folder is not None:
            check_can_be_made(job.folder, "choose another place with hydra.sweep.dir=DIR or hydra.sweep.subdir=NAME")


def _hydra(planned: Plan) -> None:
    """Let Hydra start the run, or a sweeper that chooses the values its trials; or print what it was asked for."""
    # Hydra then lets exceptions through, and they are reported above.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = planned.argv
    try:
        hydra.main(version_base=VERSION_BASE, config_path=str(config_dir()), config_name="config")(run_job)()
    except SingleRunFailed as error:
        raise error.__cause__ or error from None


def _no_effect(planned: Plan) -> list[str]:
    """Warnings of the no-op detector, for a sweep."""
    if planned.launch.probe is False:
        return []
    with signals_wait():
        from cil.sweep.probe_report import sweep_warnings  # needs torch

    warnings = sweep_warnings(planned)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return warnings


def _stop(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


class _Callable(ModuleType):
    """This module, which `cil.train(...)` can call: the name is that of the command and of the function."""

    def __call__(self, *overrides: str, **settings: Any) -> Any:
        """See cil.api.start.train."""
        from cil.api.start import train

        return train(*overrides, **settings)


if __name__ == "__main__":
    sys.exit(main())
sys.modules[__name__].__class__ = _Callable
