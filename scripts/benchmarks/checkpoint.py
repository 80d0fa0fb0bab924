"""What a checkpoint of the last task costs: seconds, size, and the share of training time that goes into saving.

The network of the given settings is grown to its last task, its optimiser made, and the whole state saved as a run
saves it: serialised, checksummed, written, flushed to disk, read back, renamed. In turn with that, a bare torch.save
of the same state without any of these precautions. Nothing is trained.

    python scripts/benchmarks/checkpoint.py dataset=cifar100 split=10-10 --rounds 5 --folder outputs
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from cil.engine.build import build_trainer
from cil.engine.observer import State
from cil.planning.plan import compose_jobs
from cil.records.checkpoint import CheckpointFolder, read_checkpoint


def last_task_state(overrides: list[str]) -> tuple[State, float]:
    """The content of a checkpoint at the beginning of the last task, and the minutes between two checkpoints."""
    (job,) = compose_jobs(overrides)
    trainer = build_trainer(job.config)
    for task in trainer.tasks:
        trainer.begin_task(task)
    trainer.finished_tasks = len(trainer.tasks) - 1
    record = {f"tag/{number}": float(number) for number in range(50)}
    epochs = job.config.trainer.init_epochs + (len(trainer.tasks) - 1) * job.config.trainer.inc_epochs
    content = {"config": job.effective, "records": [dict(record) for _ in range(epochs)], "seconds": 0.0}
    return content | {"trainer": trainer.state_dict()}, job.config.checkpoint.every_minutes


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="settings of the run, as for python -m cil.train")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    parser.add_argument("--folder", type=Path, default=Path(), help="where to write (a temporary folder in it)")
    args = parser.parse_intermixed_args()
    state, minutes = last_task_state(args.overrides)

    times: dict[str, list[float]] = {"checkpoint": [], "bare torch.save": [], "reading": []}
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder, bare = Path(name), Path(name) / "bare.tmp"
        for number in range(args.rounds + 1):
            start = time.perf_counter()
            path = CheckpointFolder(folder).save(state)
            saved = time.perf_counter()
            torch.save(state, bare)
            plain = time.perf_counter()
            read_checkpoint(path)
            end = time.perf_counter()
            if number:  # The first round warms up.
                for side, seconds in zip(times, (saved - start, plain - saved, end - plain), strict=True):
                    times[side].append(seconds)
        size = path.stat().st_size / 1e6
    for side, values in times.items():
        print(f"{side:15s} {statistics.median(values):7.2f} s ({min(values):.2f} to {max(values):.2f})")
    seconds = statistics.median(times["checkpoint"])
    print(f"size            {size:7.0f} MB")
    print(f"ratio           {seconds / statistics.median(times['bare torch.save']):7.1f} to a bare torch.save")
    print(
        f"share of time   {100 * seconds / (60 * minutes + seconds):7.2f} % with a checkpoint every {minutes:g} minutes"
    )


if __name__ == "__main__":
    main()
