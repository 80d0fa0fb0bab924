"""What a launcher runs for each job of a sweep: the job, between two lines that say which one it is."""

from collections.abc import Mapping
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from tqdm import tqdm

from cil.records.states import look
from cil.run.job import run_job
from cil.sweep.left import SweepLeft
from cil.sweep.summary import FIGURES


class SweepTask:
    """Runs a job as `run_job` does. It holds plain data: launchers send it to other processes."""

    def __init__(self, heads: Mapping[Path, str], left: SweepLeft) -> None:
        self.heads = heads
        """Folder of a job -> `[3/12] ant_margin=0.3 seed=1994`."""
        self.left = left

    def __call__(self, composed: DictConfig) -> float | None:
        """See run_job."""
        folder = Path(HydraConfig.get().runtime.output_dir)
        head = self.heads.get(folder)
        if head is None:  # only its launcher knew where it would run
            return run_job(composed)
        seconds = self.left.seconds(but=folder)
        left = f" (sweep: about {tqdm.format_interval(seconds)} left)" if seconds else ""
        print(f"\n{head}{left}", flush=True)
        value = run_job(composed, show=False)  # the sweep has a table of its own
        print(f"{head}: {_figures(folder)}", flush=True)
        return value


def _figures(folder: Path) -> str:
    result = look(folder).result
    values = {name: result.get(key) for name, key in FIGURES.items()}
    return ", ".join(f"{name} {value:z.2f}" for name, value in values.items() if value is not None) or "done"
