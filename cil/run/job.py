"""The function that Hydra calls for each job. It must be importable: launchers send it to other processes."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from cil.config.compose import job_from_composed
from cil.config.resolvers import register
from cil.run.folder import read_status

register()  # also where another process imports this module to run a job of a sweep


def run_job(composed: DictConfig) -> float | None:
    """Run the composed job in Hydra's output folder; returns incremental_avg_top1 (for optimisers).

    A job that is already finished there is left as it is.
    """
    from cil.run.experiment import run_experiment  # torch takes seconds: not before the configuration is checked

    job = job_from_composed(composed)
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    status = read_status(folder)
    if status.get("state") == "finished":
        print(f"{folder}: already finished, skipped")
        return status.get("incremental_avg_top1")
    print(f"run folder: {folder}")
    # In a sweep the folder is the job's identity: whatever it holds is this job's unfinished work.
    result = run_experiment(job, folder, resume=hydra.mode == RunMode.MULTIRUN and bool(status))
    return result["incremental_avg_top1"]
