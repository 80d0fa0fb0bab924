"""Classes of images by a run's network: `python -m cil.predict RUN IMAGE ...`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from cil.data.image_files import image_suffixes
from cil.errors import ConfigError, DataError
from cil.trained.command import on_a_run
from cil.trained.folder import StoredRun
from cil.trained.settings import check_top, parse_settings, with_settings

OWN = {"task": None, "head": None, "top": 5, "device": "auto"}
HELP = """\
usage: python -m cil.predict RUN IMAGE ... [task=K] [head=NAME] [top=5] [device=auto]

Prints the most likely classes of each image, by the run's network after task K (default: the last).
IMAGE: an image file, or a folder of them. head: classifier or nme (default: the one the method is judged by)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 an image or file cannot be read, 2 a wrong argument. Every error is one line."""
    return on_a_run(argv, HELP, _predict)


def _predict(run: StoredRun, words: list[str]) -> None:
    settings = [word for word in words if word.partition("=")[0] in OWN]
    own, _ = parse_settings(settings, OWN)
    images = _files([word for word in words if word not in settings])
    device = with_settings(run.config, {"device": own["device"]}, OWN).device
    run.check_task(own["task"])
    check_top(own["top"])
    from cil.trained.predict import predict  # needs torch

    rows = predict(run, images, own["task"], own["head"], own["top"], device)
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        if row["rank"] == 1:
            print(row["image"])
        score = f"{100 * row['score']:6.2f} %" if row["score"] >= 0 else f"distance {-row['score']:.3f}"
        print(f"  {row['rank']}. {row['name'].ljust(width)}  {score}")


def _files(words: list[str]) -> list[str]:
    """Image files, folders opened. Raises ConfigError and DataError."""
    if not words:
        raise ConfigError("no IMAGE given; e.g. python -m cil.predict outputs/run/TIME picture.png")
    files: list[str] = []
    for word in words:
        path = Path(word).expanduser()
        if path.is_dir():
            inside = sorted(str(one) for one in path.iterdir() if one.suffix.lower() in image_suffixes())
            if not inside:
                raise DataError(f"{word}: holds no image")
            files += inside
        elif path.is_file():
            files.append(str(path))
        else:
            raise DataError(f"{word}: no such file or folder")
    return files


if __name__ == "__main__":
    sys.exit(main())
