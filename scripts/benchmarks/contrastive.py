"""The contrastive loss: time of an ordinary batch, beside a broadcast form of its similarities; memory of a large one.

Time: forward and backward of loss=ant with all statistics, on one thread, in turn with the same after
`cosine_similarity(a[:, None], c[None])`, which makes a tensor [2B, 2B, D]. The first round warms up. Memory: peak of a
process of its own for each form, from which the time is told too. `--chunk-rows 0` compares everything at once.

    python scripts/benchmarks/contrastive.py time --rows 256 --width 1024 --rounds 200
    python scripts/benchmarks/contrastive.py memory --rows 8192 --width 1024 --chunk-rows 512
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from cil.config.schema import Formulation, LossConfig, Negatives, Prototypes, Reference
from cil.losses.base import ContrastiveLoss, LossOutput, make_loss
from cil.losses.similarity import Comparison, split_pairs
from cil.losses.statistics import measure
from cil.seeding import generator

CLASSES = 100
MARGIN = 0.1


def rows_of(count: int, width: int) -> Tensor:
    """Random embeddings of two views, with gradient."""
    return torch.randn(count, width, generator=generator(0, "benchmark", "rows")).requires_grad_()


def broadcast(loss: ContrastiveLoss, rows: Tensor) -> LossOutput:
    """The same loss over similarities computed entry by entry."""
    similarity = functional.cosine_similarity(rows[:, None], rows[None], dim=-1, eps=1e-8)
    compared = Comparison(similarity, split_pairs(similarity, loss.settings.negatives), MARGIN, None)
    terms = loss.formula(compared)
    total = terms.total(compared)
    return LossOutput(total, measure(compared, terms, total, loss.settings), terms.parts)


def show_times(rows: int, width: int, rounds: int) -> None:
    """Median milliseconds of both forms, in turn; of the broadcast form fewer rounds."""
    loss, embeddings = make_loss(LossConfig()), rows_of(rows, width)
    forms = {"product": lambda: loss(embeddings, embeddings, MARGIN), "broadcast": lambda: broadcast(loss, embeddings)}
    found: dict[str, list[float]] = {name: [] for name in forms}
    for number in range(rounds + 1):
        for name, form in forms.items():
            if name == "broadcast" and number > max(3, rounds // 50):
                continue
            embeddings.grad = None
            start = time.perf_counter()
            form().loss.backward()
            if number:
                found[name].append(1000 * (time.perf_counter() - start))
    for name, times in found.items():
        print(f"{name:10s} {statistics.median(times):9.2f} ms, median of {len(times)} ({min(times):.2f} at best)")


def peak() -> float:
    """Peak memory of this process in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure_memory(rows: int, width: int, form: dict[str, str]) -> dict[str, float]:
    """Peak memory in GB before and after a loss with all statistics and its gradient, and its seconds."""
    chunk, ratio = int(form["chunk_rows"]), float(form["ratio"])
    cfg = LossConfig(
        negatives=Negatives[form["negatives"]],
        reference=Reference[form["reference"]],
        formulation=Formulation[form["formulation"]],
        hard_negative_ratio=ratio or None,
        gap_beta=0.5,
        prototypes=Prototypes[form["prototypes"]],
        chunk_rows=chunk or None,
    )
    loss, embeddings = make_loss(cfg), rows_of(rows, width)
    labels = torch.arange(rows // 2) % CLASSES
    before, start = peak(), time.perf_counter()
    loss(embeddings, embeddings, MARGIN, labels, rows_of(CLASSES // 2, width).detach()).loss.backward()
    return {"before": before, "after": peak(), "seconds": time.perf_counter() - start}


def show_memory(rows: int, width: int, chunk_rows: int, every: bool) -> None:
    """Peak memory of a process that has computed one form of the loss; `every`: of all forms, not a selection."""
    formulations = [one.name for one in Formulation] if every else ["logsumexp", "topk"]
    ratios = [0.0, 0.5]
    kinds = [one.name for one in Prototypes] if every else ["negatives"]
    for negatives, reference, formulation, ratio, kind in product(Negatives, Reference, formulations, ratios, kinds):
        form = {"negatives": negatives.name, "reference": reference.name, "formulation": formulation}
        form |= {"ratio": str(ratio), "prototypes": kind, "chunk_rows": str(chunk_rows)}
        size = ["--rows", str(rows), "--width", str(width)]
        command = [sys.executable, __file__, "memory", *size, "--form", json.dumps(form)]
        result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        print(
            f"{' '.join(f'{key}={value}' for key, value in form.items())}: {result['after']:.2f} GB "
            f"({result['before']:.2f} before), {result['seconds']:.1f} s",
            flush=True,
        )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("time", "memory"))
    parser.add_argument("--rows", type=int, default=256, help="rows of the batch, two an image")
    parser.add_argument("--width", type=int, default=1024, help="of the embeddings")
    parser.add_argument("--rounds", type=int, default=200, help="timed rounds")
    parser.add_argument("--chunk-rows", type=int, default=512, help="loss.chunk_rows; 0: null")
    parser.add_argument("--every", action="store_true", help="every form of the loss")
    parser.add_argument("--form", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what == "time":
        show_times(args.rows, args.width, args.rounds)
    elif args.form:
        print(json.dumps(measure_memory(args.rows, args.width, args.form)))
    else:
        show_memory(args.rows, args.width, args.chunk_rows, args.every)


if __name__ == "__main__":
    main()
