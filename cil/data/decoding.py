"""Reading images from files or a pack: to RGB, cropped and resized, uint8. Runs in worker processes.

One request is one batch. Its crops are drawn from streams that it names, so that the number of workers cannot change
a pixel.
"""

import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, forkserver, resource_tracker
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cil.config.schema import CropResampling
from cil.data.crops import CUTS, Picture, as_image, random_boxes, size_of, to_tensor
from cil.data.image_files import centre_resized, open_rgb
from cil.data.pack import PackedImage, pixels_of
from cil.data.workers import STOP_SIGNALS, live_and_die_with_main
from cil.errors import DataError
from cil.seeding import StreamKey

Item = str | PackedImage
"""An image: the path of a file, or its place in a pack."""


@dataclass(frozen=True)
class BatchRequest:
    """One batch to decode."""

    images: Sequence[Item]
    streams: tuple[StreamKey, Sequence[int]] | None = None
    """Random streams of the crops: what they have in common, and each image's last number. None in evaluation."""
    views: int = 2
    """Random crops of each training image."""


class BatchDecoder(Dataset):
    """Turns requests into uint8 pixels. Holds no image, so a worker process costs no memory per image.

    image_size: side of the result. resized_crop: two random crops per training image, else one image for both
    views. test_resize: shorter side before the centre crop in evaluation. resampling: of the random crops.
    """

    def __init__(
        self,
        image_size: int,
        resized_crop: bool,
        test_resize: int,
        resampling: CropResampling = CropResampling.pillow,
    ) -> None:
        self._size = image_size
        self._resized_crop = resized_crop
        self._test_resize = test_resize
        self._cut = CUTS[resampling.name]

    def __getitem__(self, request: BatchRequest) -> "Tensor | DataError":
        """Pixels [B, 3, S, S], or [views * B, ...] (first views, then second views) for random crops.

        A DataError is returned, not raised: a DataLoader would wrap it with the worker's traceback.
        """
        count, random = len(request.images), request.streams is not None and self._resized_crop
        views = request.views if random else 1
        pixels = torch.empty((views * count, 3, self._size, self._size), dtype=torch.uint8)
        try:
            for row, item in enumerate(request.images):
                picture = read(item)
                if random:
                    assert request.streams is not None
                    key, last = request.streams
                    self._crop(picture, (*key, last[row]), pixels[row::count])
                else:
                    shorter = self._test_resize if request.streams is None else self._size
                    pixels[row] = to_tensor(centre_resized(as_image(picture), shorter, self._size))
        except DataError as error:
            return error
        return pixels

    def _crop(self, picture: Picture, key: StreamKey, out: Tensor) -> None:
        """Fill out [views, 3, S, S] with random crops."""
        for view, box in enumerate(random_boxes(*size_of(picture), key, len(out))):
            self._cut(picture, box, out[view])


def read(item: Item) -> Picture:
    """The image. Raises DataError with path and reason if it cannot be read."""
    return open_rgb(item) if isinstance(item, str) else pixels_of(item)


class _Requests:
    """The DataLoader's sampler: whatever requests are set at the time it is started."""

    def __init__(self) -> None:
        self.pending: Iterable[BatchRequest] = ()

    def __iter__(self) -> Iterator[BatchRequest]:
        return iter(self.pending)


def _start_forkserver() -> None:
    """Start the parent of the workers with stop signals blocked: without it they would end themselves."""
    resource_tracker.ensure_running()  # it would unblock them again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class WorkerDied(Exception):
    """A worker process ended before its work was done. The message is one line with advice."""


def _one_has_ended(workers: list[Any]) -> bool:
    """Whether one of the processes is no more, or comes to its end within two seconds."""
    return bool(connection.wait([worker.sentinel for worker in workers], timeout=2))


def _why_it_died(codes: list[int], workers: int) -> str:
    """codes: exit codes of the workers that ended, -N for signal N."""
    how = "for an unknown reason"
    if codes:
        how = f"by signal {-codes[0]}, {signal.strsignal(-codes[0])}" if codes[0] < 0 else f"with exit code {codes[0]}"
    return (
        f"a worker process that decodes images ended ({how}), most likely for want of memory: set dataset.num_workers "
        f"lower (now {workers}; 0 starts none) or the batch size, or give a container more memory and a larger "
        "/dev/shm (docker run --shm-size=8g); resume=RUN then continues from the last checkpoint"
    )


class DecoderPool:
    """Worker processes that serve requests in order; 0 workers: the calling process does it.

    The workers start with the first request and stay until `close()`; a later request starts new ones.
    """

    def __init__(self, decoder: BatchDecoder, num_workers: int, pin_memory: bool) -> None:
        self._decoder = decoder
        self._num_workers = num_workers
        self._pin_memory = pin_memory
        self._requests = _Requests()
        self._loader: DataLoader | None = None
        self._iterator: Any = None

    def run(self, requests: Iterable[BatchRequest]) -> Iterator[Tensor]:
        """Decoded batches in the order of the requests.

        Raises DataError for an image that cannot be read, WorkerDied if a worker process ends.
        A new run ends an unfinished one: taking another batch from that raises RuntimeError.
        """
        if self._loader is None:
            self._loader = self._make_loader()
        pending = iter(requests)
        self._requests.pending = pending
        run_iterator = iter(self._loader)
        # A DataLoader gives back one iterator for all its runs; `pending` tells the runs apart.
        self._iterator = run_iterator
        for result in self._until_a_worker_dies(run_iterator):
            if isinstance(result, DataError):
                self.close()
                raise result
            yield result
            if self._requests.pending is not pending:
                raise RuntimeError("this run has ended: the decoder pool was closed, or another run has begun")

    def _until_a_worker_dies(self, results: Iterator[Any]) -> Iterator[Any]:
        """The results, with WorkerDied in place of what the loss of a worker leads to.

        That is the DataLoader's RuntimeError, or EOFError or OSError from taking over a batch of a worker just killed.
        """
        try:
            yield from results
        except (RuntimeError, EOFError, OSError) as error:
            workers = list(getattr(results, "_workers", ()))
            # Not what was raised inside a worker ("Caught ..."): that one lives on.
            if not workers or str(error).startswith("Caught ") or not _one_has_ended(workers):
                raise
            codes = [worker.exitcode for worker in workers if worker.exitcode]
            for worker in workers:  # they ignore SIGTERM, and may wait for ever for a lock that the dead one holds
                worker.kill()
            self.close()
            raise WorkerDied(_why_it_died(codes, self._num_workers)) from error

    def close(self) -> None:
        """Stop the worker processes."""
        # DataLoader has no public way to stop persistent workers before it is garbage-collected.
        shutdown = getattr(self._iterator, "_shutdown_workers", None)
        if shutdown is not None:
            shutdown()
        self._iterator = None
        self._loader = None
        self._requests.pending = ()

    def _make_loader(self) -> DataLoader:
        context = None
        if self._num_workers:
            # Not fork: a copy of a process with running threads (TensorBoard, OpenMP, CUDA) can hang.
            methods = torch.multiprocessing.get_all_start_methods()
            context = torch.multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
            if "forkserver" in methods:
                context.set_forkserver_preload([__name__])
                _start_forkserver()
        return DataLoader(
            self._decoder,
            batch_size=None,
            sampler=self._requests,
            num_workers=self._num_workers,
            pin_memory=self._pin_memory,
            worker_init_fn=live_and_die_with_main,
            multiprocessing_context=context,
            persistent_workers=self._num_workers > 0,
            # Its own generator: without one, every start would draw from torch's global state.
            generator=torch.Generator(),
        )
