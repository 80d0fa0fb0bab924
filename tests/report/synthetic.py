"""Run folders without training: the files that the report reads, with figures as wanted."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from cil.config.identity import run_id
from cil.config.parts import stored_versions
from cil.engine.metrics import AccuracyHistory, mean
from cil.records.folder import plain

CONFIG: dict[str, Any] = {
    "name": "run",
    "seed": 1,
    "device": "auto",
    "class_order": "natural",
    "class_order_seed": 0,
    "ant_margin": 0.1,
    "dataset": {
        "name": "digits",
        "source": "digits",
        "root": None,
        "download": False,
        "classes": 10,
        "class_list": None,
        "max_train_per_class": None,
        "max_test_per_class": None,
        "holdout_per_class": None,
        "num_workers": 4,
    },
    "split": {"base": 2, "increment": 2, "sizes": None},
    "method": {"name": "tagfex"},
    "loss": {
        "name": "ant",
        "temperature": 0.2,
        "nce_alpha": 1.0,
        "ant_beta": 1.0,
        "ant_term": True,
        "reference": "anchor",
        "formulation": "logsumexp",
        "topk": None,
        "hard_negative_ratio": None,
        "gap_beta": 0.0,
        "gap_target": None,
    },
    "margin_schedule": {"name": "constant", "target_margin": None, "end_epoch": None, "gap_ratio": None},
    "optimizer": {"lr": 0.1},
    "trainer": {"max_tasks": None, "grad_clip_norm": None, "eval_every": 0},
    "tracking": {"tensorboard": True},
}

INFONCE: dict[str, Any] = {
    "loss.name": "infonce",
    "loss.ant_beta": None,
    "loss.ant_term": None,
    "loss.reference": "anchor",
    "loss.formulation": None,
    "loss.gap_beta": None,
}
MATRIX = [[90.0], [70.0, 80.0], [60.0, 75.0, 85.0]]


def config(**keys: Any) -> dict[str, Any]:
    """The configuration with dotted keys (`__` for the dot) set."""
    nested = deepcopy(CONFIG)
    for key, value in keys.items():
        *groups, last = key.replace("__", ".").split(".")
        node = nested
        for group in groups:
            node = node.setdefault(group, {})
        node[last] = value
    return nested


def keyed(key: str, value: Any) -> dict[str, Any]:
    """One setting, to be passed with **."""
    return {key: value}


def accuracies(matrix: Sequence[Sequence[float]], nme: float | None = 1.0) -> dict[str, Any]:
    """The accuracy part of result.json: NME is `nme` points better, top-5 is not measured."""
    history = AccuracyHistory(("classifier", "nme"))
    for row in matrix:
        better: list[float | None] = [None if nme is None else value + nme for value in row]
        none: list[float | None] = [None] * len(row)
        rows: dict[str, list[float | None]] = {"top1": list(row), "nme_top1": better}
        rows |= {"top5": none, "nme_top5": list(none)}
        history.add(rows, {kind: mean(values) for kind, values in rows.items()})
    return {"matrices": history.matrices, "curves": history.curves} | history.figures()


def flat_matrix(value: float, tasks: int = 3) -> list[list[float]]:
    """Every accuracy the same."""
    return [[value] * (task + 1) for task in range(tasks)]


def write_run(
    folder: Path,
    matrix: Sequence[Sequence[float]] = MATRIX,
    result: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    curves: Mapping[str, Sequence[float]] | None = None,
    **keys: Any,
) -> Path:
    """A finished run. result, status: what to change in those files (a value of ... leaves the key out).

    curves: tag -> one value an epoch, the same in every task.
    """
    shown = curves or default_curves(matrix)
    epochs = len(next(iter(shown.values())))
    made = config(**{"trainer__init_epochs": epochs, "trainer__inc_epochs": epochs} | keys)
    order = keys.get("class_order_seed", 0)
    classes = [(2 * i + order) % (2 * len(matrix)) for i in range(2 * len(matrix))]
    tasks = [
        {
            "task": i + 1,
            "size": 2,
            "classes": classes[2 * i : 2 * i + 2],
            "names": ["a", "b"],
            "test_images": 20 * (i + 1),
        }
        for i in range(len(matrix))
    ]
    versions = stored_versions(result or {}, made) if "part_versions" in (result or {}) else None
    content = {"schema_version": 1, "config_id": run_id(made, versions), "name": made["name"]} | accuracies(matrix)
    content |= {"tasks": tasks, "class_order": classes, "class_list": None, "seconds": 3600.0 + made["seed"]}
    content |= {"versions": {"cil": "0.1.0", "torch": "2.14"}, "git_commit": "a" * 40, "device": {"name": "x86"}}
    state = {"state": "finished", "pid": 1, "host": "somewhere", "started": f"2026-01-01T00:00:{made['seed']:02d}"}
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
    _write_json(folder / "result.json", content | (result or {}))
    _write_json(folder / "status.json", state | (status or {}))
    (folder / "metrics.jsonl").write_text(metrics(len(matrix), shown))
    return folder


def default_curves(matrix: Sequence[Sequence[float]]) -> dict[str, Sequence[float]]:
    """Two epochs a task; the losses tell different runs apart."""
    loss = sum(matrix[-1])
    return {
        "loss/total": [loss, loss / 2],
        "contrast/gap": [0.2, 0.8],
        "contrast/margin": [0.1, 0.1],
        "contrast/violation_rate": [0.3, 0.05],
    }


def metrics(tasks: int, curves: Mapping[str, Sequence[float]]) -> str:
    """Content of metrics.jsonl."""
    lines, step = [], 0
    for task in range(1, tasks + 1):
        for epoch in range(len(next(iter(curves.values())))):
            step += 1
            record = {"kind": "epoch", "task": task, "epoch": epoch + 1, "step": step}
            lines.append(record | {tag: values[epoch] for tag, values in curves.items()})
        lines.append({"kind": "task", "task": task, "step": task, "task/top1": 1.0})
    return "".join(json.dumps(plain(line)) + "\n" for line in lines)


def write_group(folder: Path, values: dict[int, float], **keys: Any) -> None:
    """One run a seed; its accuracy is the same everywhere, so average = last = the value."""
    for seed, value in values.items():
        write_run(folder / f"s{seed}", flat_matrix(value), seed=seed, **keys)


def sized(folder: Path, value: float = 50.0, sizes: tuple[int, int, int] | None = None, **keys: Any) -> Path:
    """A finished run; sizes: parameters, bytes of the model and of the exemplars after the last task."""
    run = write_run(folder, flat_matrix(value), **keys)
    if sizes is not None:
        result = json.loads((run / "result.json").read_text())
        fields = dict(zip(("parameters", "model_bytes", "exemplar_bytes"), sizes, strict=True))
        result["tasks"][-1] |= fields | {"exemplars": sizes[2] // 192}
        (run / "result.json").write_text(json.dumps(result))
    return run


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))
