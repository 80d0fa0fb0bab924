"""The model card, and what a user of the files must know of the images."""

from typing import Any

from cil import __version__
from cil.config.schema import RunConfig
from cil.data.image_files import evaluation_side
from cil.data.sources import MAX_RESIDENT_SIDE
from cil.trained.folder import ClassInfo, StoredRun

SNIPPET = """\
```python
import json
import numpy as np
import torch
from PIL import Image

facts = json.load(open("classes.json"))
network = torch.export.load("model.pt2").module()
image = Image.open("picture.png").convert("RGB")
side, size = facts["resize_shorter_side"], facts["image_size"]
scale = side / min(image.size)
image = image.resize([max(side, int(scale * s)) for s in image.size], Image.Resampling.BILINEAR)
left, top = round((image.width - size) / 2), round((image.height - size) / 2)
image = image.crop((left, top, left + size, top + size))
images = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
logits = network(images)["logits"]
print(facts["classes"][int(logits.argmax())]["name"])
```
"""


def facts(run: StoredRun, classes: list[ClassInfo], judged_by: str) -> dict[str, Any]:
    """What classes.json holds. resize_shorter_side: before the centre of image_size pixels is cut out."""
    config = run.config
    size = config.dataset.image_size
    return {
        "classes": [one._asdict() for one in classes],
        "image_size": size,
        "resize_shorter_side": size if size <= MAX_RESIDENT_SIDE else evaluation_side(config.augment, size),
        "input": "float32 [B, 3, image_size, image_size], RGB in [0, 1]; normalisation is inside",
        "judged_by": "logits" if judged_by == "classifier" else judged_by,
    }


def card(run: StoredRun, task: int, files: list[str], parameters: int, judged_by: str) -> str:
    """README.md of the exported files, with the metadata that model hubs read."""
    config, result = run.config, run.result
    known = run.tasks[task - 1].known
    accuracies = _accuracies(run, task)
    sizes = ", ".join(str(one.size) for one in run.tasks[:task])
    head = f"- the method predicts with the output `{judged_by}`\n" if judged_by != "classifier" else ""
    program = "\n" + SNIPPET if "model.pt2" in files else ""
    return f"""\
---
library_name: pytorch
tags: [class-incremental-learning, image-classification, {config.method.name}]
datasets: [{config.dataset.name}]
---
# {config.method.name} on {config.dataset.name}, {known} classes in {task} task{"s" if task > 1 else ""}

A network trained by class-incremental learning: its classes came in {task} tasks (of {sizes} classes), and after each
one only exemplars of earlier classes were left. Trained and exported with cil {__version__}.

| | |
| --- | --- |
| method | {config.method.name}{_loss(config)} |
| backbone | {config.backbone.name} |
| data | {config.dataset.name}, images of {config.dataset.image_size} pixels, class order `{_order(config)}` |
| seed | {config.seed} |
| parameters | {parameters:,} |
{accuracies}
| run | `{result["config_id"]}`, code {result.get("git_commit") or "unknown"} |

Accuracies are on the data set's test images of all {known} classes. The names of the classes, in the order of the
outputs, are in `classes.json`. Files: {", ".join(f"`{name}`" for name in files)}.

## Use

- input: {facts(run, [], judged_by)["input"]}
- outputs: `logits` [B, {known}], `features` [B, d], and the scores of other heads (`nme`: minus the distance to the
  nearest mean of exemplars)
{head}{program}
## Limits

It knows the {known} classes it was trained on, and calls every image one of them. Classes of early tasks are recognised
less reliably than those of late ones, or the other way round, depending on the method; the run's accuracy matrix tells.
"""


def _accuracies(run: StoredRun, task: int) -> str:
    rows = [
        f"| {kind.replace('_', ' ')} | {curve[task - 1]:.2f} % |"
        for kind, curve in run.result["curves"].items()
        if len(curve) >= task and curve[task - 1] is not None
    ]
    return "\n".join(rows)


def _loss(config: RunConfig) -> str:
    name = config.loss.name
    return "" if name is None else f", contrastive loss {name}"


def _order(config: RunConfig) -> str:
    return config.class_order if isinstance(config.class_order, str) else "own list"
