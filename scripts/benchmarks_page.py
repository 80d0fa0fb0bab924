"""Writes the tables of docs/benchmarks.md from the files that the benchmarks wrote, so that no number is typed.

    python scripts/benchmarks_page.py                            # anew from docs/measured/*.json
    python scripts/benchmarks_page.py --gpu outputs/gpu_check    # first take over the figures of scripts/gpu_check.py
    python scripts/benchmarks_page.py --cpu bench.json           # or those of cil.bench on a CPU
    python scripts/benchmarks_page.py --take growth=growth.json  # or those of a script in scripts/benchmarks

A section lies between `<!-- measured: NAME -->` and `<!-- end -->`; a test holds the page to the files.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
PAGE = PROJECT / "docs" / "benchmarks.md"
MEASURED = PROJECT / "docs" / "measured"
SECTION = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
Record = dict[str, Any]
sys.path.insert(0, str(PROJECT))


def markdown(rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A table, a header first; the first `texts` columns stand to the left."""
    header, *body = [[str(cell) for cell in row] for row in rows]
    rule = ["---"] * texts + ["---:"] * (len(header) - texts)
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *body])


def bench_table(bench: Record) -> str:
    """The rows that cil.bench shows on a terminal, and the hours."""
    from cil.bench.show import HEADER, hours_line, rows, skipped

    lines = [markdown([HEADER, *rows(bench)])]
    notes = [*skipped(bench), hours_line(bench)]
    return "\n\n".join([*lines, *(f"{note[0].upper()}{note[1:]}." for note in notes if note)])


def where(bench: Record) -> str:
    """The machine and what ran on it, in a sentence."""
    facts, found = bench["machine"], bench["versions"]
    name = facts["gpu"] or f"{facts['cpu']}, {facts['threads']} of {facts['usable_cores']} cores"
    driver = f", driver {facts['driver']}, CUDA {facts['cuda']}" if facts["gpu"] else ""
    load = facts.get("load")
    busy = "" if not load or facts["gpu"] else f"; load of the machine at the start {load[0]:.1f}"
    return (
        f"{name}{driver}; torch {found['torch']}, commit {str(bench['git_commit'])[:7]}, {bench['created'][:10]}{busy}."
    )


def cpu(bench: Record) -> str:
    """cil.bench on a CPU."""
    words = " ".join(word for word in bench["words"] if not word.startswith("dataset.root="))
    rounds = len(bench["figures"]["step"][0]["seconds"]["rounds"])
    root = " dataset.root=DIR" if bench["images"] == "real" else ""
    command = f"`python -m cil.bench {words}{root} --steps {bench['steps_a_round']} --rounds {rounds}`"
    what = f"Medians of {rounds} rounds, {bench['images']} images, {bench['settings']['trainer']['precision']}."
    return f"{command}: {where(bench)} {what}\n\n{bench_table(bench)}"


def gpu(found: Record | None) -> str:
    """scripts/gpu_check.py on a GPU."""
    if found is None or found["summary"]["toy"] or found["summary"]["machine"]["device"] != "cuda":
        return (
            "**Not run on a GPU yet.** `python scripts/gpu_check.py --minutes 10 --data data/cifar100` does it, and\n"
            "`python scripts/gpu_check.py --write-docs outputs/gpu_check` writes what it finds in here."
        )
    summary = found["summary"]
    lines = [f"`python scripts/gpu_check.py --minutes {summary['minutes']:g}`: {where(summary)}", check_table(summary)]
    for name in ("bench", "bench_bf16"):
        if found.get(name):
            lines += [f"`{next(p['what'] for p in summary['parts'] if p['name'] == name)}`:", bench_table(found[name])]
    run = next((part.get("run") for part in summary["parts"] if part["name"] == "train"), None)
    if run and run.get("epochs"):
        lines.append(
            f"The main job: {run['epochs']} epochs (to task {run['task']}, epoch {run['epoch']}), "
            f"{run['epoch_seconds']:.1f} s an epoch (median), {run['images_per_second']:.0f} images a second."
        )
    return "\n\n".join(lines)


def check_table(summary: Record) -> str:
    """One row a part."""
    rows: list[Sequence[str]] = [("part", "what", "result", "tests", "failed", "seconds")]
    for part in summary["parts"]:
        counts = [str(part.get(key, "")) for key in ("tests", "failures")]
        note = f": {part['note']}" if part.get("note") else ""
        rows.append((part["name"], f"`{part['what']}`", part["state"] + note, *counts, f"{part['seconds']:.0f}"))
    return markdown(rows, texts=3)


def stored(name: str) -> Record | None:
    """The figures kept in the repository."""
    path = MEASURED / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def from_script(found: Record | None) -> str:
    """Text and tables as a script of scripts/benchmarks wrote them down: `command`, `text`, `tables` (rows)."""
    if found is None:
        return "**Not measured yet.**"
    head = f"`{found['command']}`: {where(found)}"
    return "\n\n".join([head, *found["text"], *(markdown(rows) for rows in found["tables"])])


SECTIONS: dict[str, Callable[[], str]] = {
    "gpu": lambda: gpu(stored("gpu")),
    "cpu": lambda: "**Not measured yet.**" if (found := stored("cpu")) is None else cpu(found),
    "growth": lambda: from_script(stored("growth")),
    "paper": lambda: from_script(stored("paper")),
    "mechanism": lambda: from_script(stored("mechanism")),
}


def written(page: str) -> str:
    """The page with every section made anew."""
    return SECTION.sub(lambda match: f"{match[1]}\n{SECTIONS[match[2]]()}\n\n{match[3]}", page)


def take_gpu(folder: Path) -> None:
    """Keep the figures of a folder of gpu_check.py."""
    found = {"summary": json.loads((folder / "summary.json").read_text())}
    for part in found["summary"]["parts"]:
        part.pop("command", None)  # paths of that machine
    for name in ("bench", "bench_bf16"):
        path = folder / f"{name}.json"
        if path.is_file():
            found[name] = json.loads(path.read_text())
    keep("gpu", found)


def keep(name: str, record: Record) -> None:
    """Into docs/measured."""
    MEASURED.mkdir(exist_ok=True)
    (MEASURED / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 2 for a file that is not there or not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", type=Path, metavar="FOLDER", help="a folder of scripts/gpu_check.py")
    parser.add_argument("--cpu", type=Path, metavar="FILE", help="a file of cil.bench")
    parser.add_argument("--take", action="append", default=[], metavar="NAME=FILE", help="a file of scripts/benchmarks")
    options = parser.parse_args(argv)
    try:
        if options.gpu is not None:
            take_gpu(options.gpu)
        taken = [f"cpu={options.cpu}"] if options.cpu is not None else []
        for text in [*taken, *options.take]:
            name, _, path = text.partition("=")
            if name not in SECTIONS:
                raise ValueError(f"{name}: no section; valid: {', '.join(SECTIONS)}")
            keep(name, json.loads(Path(path).read_text()))
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    except (OSError, ValueError, KeyError) as error:
        print(f"cannot write the page: {error}", file=sys.stderr)
        return 2
    print(f"written: {PAGE.relative_to(PROJECT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
