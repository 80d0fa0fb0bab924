"""The command line of the evaluation."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from cil.errors import ConfigError, DataError
from cil.evaluate.measures import PARTS
from cil.files import write_atomically
from cil.records.confusion import read_arrays, write_arrays
from cil.records.folder import plain
from cil.trained.command import on_a_run
from cil.trained.folder import StoredRun
from cil.trained.settings import parse_settings, with_settings

FILE = "evaluation.json"
FOLDER = "evaluation"
OWN: dict[str, Any] = {"task": None, "parts": None, "embedding": "tsne", "probe_images": 200}
USAGE = "usage: python -m cil.evaluate RUN [KEY=VALUE ...]"
HELP = f"""\
{USAGE}

Evaluates the networks that a finished run has kept, on its test images. Writes RUN/{FILE}, and pictures and arrays
into RUN/{FOLDER}/.

  task=K             look at the network after task K (default: the last; earlier ones need checkpoint.keep_tasks=true)
  parts=A,B          only these of: matrix drift calibration probe embedding corruptions
  embedding=tsne     map of the features: tsne, or umap (pip install 'cil[umap]')
  probe_images=200   train images of each class for the linear probe; null: all
  dataset.root=DIR   where the images are now; also dataset.num_workers, device, trainer.eval_batch_size"""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 broken data, 2 a wrong argument. Every error is one line."""
    return on_a_run(argv, HELP, _evaluate)


def _evaluate(run: StoredRun, words: list[str]) -> None:
    own, others = parse_settings(words, OWN)
    record = evaluate_run(run, own, others, say=lambda text: print(text, file=sys.stderr, flush=True))
    print(summary(record))
    print(f"written: {run.path / FILE}, {run.path / FOLDER}")


def evaluate_run(
    run: StoredRun, own: dict[str, Any], others: dict[str, Any], say: Callable[[str], None]
) -> dict[str, Any]:
    """Evaluate, write the files, and return what evaluation.json holds.

    own: values of the keys of OWN; others: settings of the run to replace. Raises ConfigError, DataError, OSError.
    """
    config = with_settings(run.config, others, OWN)
    task = run.check_task(own["task"])
    parts = _parts(own["parts"])
    _check_number("probe_images", own["probe_images"])
    from cil.evaluate.evaluation import Request, evaluate, of_network  # needs torch
    from cil.evaluate.features import check_embedding
    from cil.evaluate.pictures import write_pictures

    check_embedding(own["embedding"])
    folder = run.path / FOLDER
    if not os.access(run.path, os.W_OK):  # before the work, not after it
        raise DataError(f"{run.path}: cannot be written to; evaluate a copy of the run")
    folder.mkdir(exist_ok=True)
    wanted = of_network(run, task)
    _, replaced = _earlier(run, wanted)
    if replaced is not None:
        say(f"{run.path / FILE}: {replaced}, and will be replaced")  # before the work: it can still be kept
    found = evaluate(run, config, Request(task, parts, own["embedding"], own["probe_images"]), say)
    record: dict[str, Any] = plain(found.record)
    arrays = found.arrays | {f"confusion_{head}": counts for head, counts in found.confusion.items()}
    earlier, _ = _earlier(run, wanted)  # as it is now: another one may have ended meanwhile
    if earlier is None:
        for path in [*folder.glob("*.svg"), *folder.glob("*.png"), folder / "arrays.npz"]:
            path.unlink(missing_ok=True)
    else:
        record = earlier | record | {"parts": [p for p in PARTS if p in (*earlier["parts"], *record["parts"])]}
        arrays = read_arrays(folder / "arrays.npz") | arrays
    write_atomically(run.path / FILE, json.dumps(record, indent=1) + "\n")
    write_arrays(folder / "arrays.npz", arrays)
    write_pictures(folder, run, found)
    return record


def _earlier(run: StoredRun, wanted: dict[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    """The evaluation that is there, where it is of the same network by the same code: its other parts stay.

    Otherwise None, and what the one that is there is of.
    """
    path = run.path / FILE
    if not path.is_file():
        return None, None
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        other = [key for key, value in wanted.items() if earlier[key] != value]
    except (OSError, ValueError, KeyError, TypeError):
        return None, "is damaged"
    if not other:
        return earlier, None
    what = {"task": f"of the network after task {earlier['task']}", "config_id": "of another run"}
    return None, f"is {what.get(other[-1], 'by another version of the code')}"


def _parts(chosen: Any) -> tuple[str, ...]:
    if chosen is None:
        return PARTS
    names = [str(part).strip() for part in (chosen if isinstance(chosen, list | tuple) else str(chosen).split(","))]
    for name in names:
        if name not in PARTS:
            raise ConfigError(f"parts: {name!r} is unknown; valid: {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in names)


def _check_number(key: str, value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigError(f"{key}: {value!r} is not valid; expected 1 or greater, or null")


def summary(record: dict[str, Any]) -> str:
    """The figures of an evaluation in a few lines."""
    accuracy = ", ".join(f"{kind} {value:.2f}" for kind, value in record["accuracy"].items() if value is not None)
    lines = [f"after task {record['task']}: {accuracy} (%)"]
    if "differences" in record:
        kept = ", ".join(map(str, record["kept_tasks"]))
        equal = not record["differences"]
        lines.append(f"accuracy matrix of the kept networks (after task {kept}): " + ("equals" if equal else "differs"))
        lines[-1] += " what the run wrote" if equal else f" from what the run wrote: {record['differences'][0]}"
    worst = sorted((row for row in record["classes"] if row["top1"] is not None), key=lambda row: row["top1"])
    lines.append("least accurate classes: " + ", ".join(f"{r['name']}: {r['top1']:.1f}" for r in worst[:5]))
    if "calibration" in record:
        found = record["calibration"]
        lines.append(
            f"calibration: ECE {100 * found['ece']:.2f} %, confidence {100 * found['confidence']:.1f} % at accuracy "
            f"{100 * found['accuracy']:.1f} %"
        )
    if "probe" in record:
        lines.append(
            f"linear probe on the features: {record['probe']['top1']:.2f} % ({record['probe']['train_images']} images)"
        )
    for row in record.get("drift", []):
        cosine = "" if row["cosine"] is None else f", cosine {row['cosine']:.3f}"
        lines.append(f"features of task {row['task']} now and then: CKA {_show(row['cka'])}{cosine}")
    for kind, found in record.get("corruptions", {}).items():
        lines.append(f"{kind}, strength 1 to 5: {' '.join(f'{value:.1f}' for value in found['top1'])}")
    return "\n".join(lines)


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
