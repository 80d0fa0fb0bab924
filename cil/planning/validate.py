"""Value rules that need more than one key, or a look at the machine. Everything is checked before data is loaded."""

import re
from itertools import accumulate, pairwise

from cil.config.names import show, suggestion
from cil.config.ranges import check_nulls, check_ranges
from cil.config.schema import (
    FEATURE_WIDTHS,
    BranchConfig,
    CropResampling,
    LossConfig,
    MarginScheduleConfig,
    MemoryConfig,
    MemoryPolicy,
    RunConfig,
    ScheduleName,
    ScheduleUnit,
    TrainerConfig,
)
from cil.distributed.launch import launched
from cil.errors import ConfigError
from cil.planning.plugins import check_mirror
from cil.planning.warn import data_warnings, epoch_warnings, task_warnings


def validate(config: RunConfig, look_for_data: bool = True) -> list[str]:
    """Check an effective configuration; the warnings are about settings that are allowed but never act.

    look_for_data: also check that the images are where the configuration says.

    Raises ConfigError with one line that names the key, what is wrong and what is valid.
    """
    check_ranges(config)
    _check_name(config.name)
    check_nulls(config)
    _check_loss(config.loss)
    _check_prototypes(config)
    _check_selection(config.memory)
    _check_schedule(config.margin_schedule)
    _check_model(config)
    _check_pruning(config)
    _check_images(config)
    _check_optimizer(config)
    _check_several_processes(config.trainer)
    _check_micro_batches(config.trainer)
    sizes = _check_classes(config, look_for_data)
    tasks = len(sizes[: config.trainer.max_tasks])
    _check_branch(config.branch, tasks)
    check_device(config.device)
    check_mirror(config.tracking)
    return [*data_warnings(config.dataset), *task_warnings(config, len(sizes)), *epoch_warnings(config, tasks)]


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name) or name == "sweeps":
        raise ConfigError(
            f"name: {name[:120]!r} is no folder name for runs; valid: up to 100 letters, digits, '.', '_' and '-', the "
            "first one a letter, digit or '_'"
        )


def _check_prototypes(config: RunConfig) -> None:
    kind, memory = config.loss.prototypes, config.memory
    if kind is not None and kind.name != "none" and not memory.size and memory.total_mb is None:
        raise ConfigError(f"loss.prototypes: {kind.name} needs exemplars, and memory.size is 0; valid: none")


def _check_selection(memory: MemoryConfig) -> None:
    if memory.slow is not None and memory.fast is not None and memory.slow + memory.fast >= 1:
        shares = f"{memory.slow:g} and {memory.fast:g}"
        raise ConfigError(f"memory.slow, memory.fast: {shares} leave no image; valid: less than 1 together")


def _check_loss(loss: LossConfig) -> None:
    from cil.losses import available_losses

    names = available_losses()
    if loss.name is None:
        return  # the method has no contrastive loss, or gives it no weight
    if loss.name not in names:
        raise ConfigError(f"loss.name: no loss {loss.name!r}; {suggestion(loss.name, names)}")
    if not loss.nce_alpha and not loss.ant_beta:
        weights = "loss.nce_alpha" if loss.ant_beta is None else "loss.nce_alpha and loss.ant_beta"
        raise ConfigError(f"{weights}: nothing is left to train with a weight of 0; set one above 0")


def _check_schedule(schedule: MarginScheduleConfig) -> None:
    if schedule.name is ScheduleName.curriculum:
        _check_curriculum(schedule)
    start, end = schedule.start_epoch, schedule.end_epoch
    if start is not None and end is not None and end <= start:
        raise ConfigError(f"margin_schedule.end_epoch: {end} must be greater than start_epoch={start}")


def _check_curriculum(schedule: MarginScheduleConfig) -> None:
    epochs, margins = schedule.epochs or [], schedule.margins or []
    if not epochs or epochs[0] != 0:
        raise ConfigError(f"margin_schedule.epochs: {show(epochs)} must start at 0")
    if any(later <= earlier for earlier, later in pairwise(epochs)):
        raise ConfigError(f"margin_schedule.epochs: {show(epochs)} must be strictly ascending")
    if len(epochs) != len(margins):
        raise ConfigError(
            f"margin_schedule.margins: {len(margins)} margins for {len(epochs)} epochs; the lists must be equally long"
        )
    if schedule.unit is ScheduleUnit.epoch and any(epoch != int(epoch) for epoch in epochs):
        raise ConfigError(
            f"margin_schedule.epochs: {show(epochs)} must be whole numbers with margin_schedule.unit=epoch"
        )


def _check_model(config: RunConfig) -> None:
    width = FEATURE_WIDTHS.get(config.backbone.name)
    if width is None:
        names = sorted(FEATURE_WIDTHS)
        raise ConfigError(
            f"backbone.name: no backbone {config.backbone.name!r}; {suggestion(config.backbone.name, names)}"
        )
    heads = getattr(config.method, "attention_heads", 1)
    if width % heads:
        valid = ", ".join(str(n) for n in range(1, width + 1) if width % n == 0)
        raise ConfigError(
            f"method.attention_heads: {heads} does not divide the {width} features of {config.backbone.name}; "
            f"valid: {valid}"
        )


def _check_pruning(config: RunConfig) -> None:
    """The widest convolutions have as many filters as the backbone has features."""
    ratio, width = config.prune.ratio, FEATURE_WIDTHS[config.backbone.name]
    if ratio and ratio * width < 1:
        raise ConfigError(
            f"prune.ratio: {ratio:g} removes no filter of {config.backbone.name}, whose widest layers have {width}; "
            f"valid: 0 (off), or {1 / width:g} and more"
        )


def _check_images(config: RunConfig) -> None:
    from cil.data.sources import MAX_RESIDENT_SIDE

    augment, size = config.augment, config.dataset.image_size
    for key, values in (("mean", augment.mean), ("std", augment.std)):
        if len(values) != 3:
            raise ConfigError(f"augment.{key}: {show(values)} must hold 3 numbers, one a channel")
    if (augment.resized_crop or augment.test_resize is not None) and size <= MAX_RESIDENT_SIDE:
        key, off = ("resized_crop", "false") if augment.resized_crop else ("test_resize", "null")
        raise ConfigError(
            f"augment.{key}: needs images that are decoded in training, with dataset.image_size above "
            f"{MAX_RESIDENT_SIDE}; here it is {size}; valid: a larger one, augment.{key}={off}, or another augment=NAME"
        )
    if augment.test_resize is not None and augment.test_resize < size:
        raise ConfigError(f"augment.test_resize: {augment.test_resize} is smaller than dataset.image_size={size}")
    _check_pack(config)


def _check_pack(config: RunConfig) -> None:
    from cil.data.image_files import evaluation_side
    from cil.data.sources import MAX_RESIDENT_SIDE

    augment, dataset = config.augment, config.dataset
    side = dataset.pack_side
    if side is not None and dataset.image_size > MAX_RESIDENT_SIDE:
        shorter = evaluation_side(augment, dataset.image_size)
        if shorter > side:
            shown = str(shorter) if augment.test_resize is not None else f"null (here {shorter})"
            raise ConfigError(
                f"augment.test_resize: {shown} is more than the {side} pixels of the images in the pack; "
                f"valid: {dataset.image_size} to {side}"
            )
    if dataset.resident_gb and augment.crop_resampling is not CropResampling.torch:
        raise ConfigError(
            "dataset.resident_gb: images on the device are cropped there, with augment.crop_resampling=torch "
            "(and augment.resized_crop=true); valid with other settings: 0"
        )


def _check_optimizer(config: RunConfig) -> None:
    for key in ("init_milestones", "inc_milestones"):
        epochs = getattr(config.optimizer, key)
        if any(later <= earlier for earlier, later in pairwise(epochs)):
            raise ConfigError(f"optimizer.{key}: {show(epochs)} must be strictly ascending")


def _check_several_processes(trainer: TrainerConfig) -> None:
    if launched() is not None and trainer.compile:
        raise ConfigError("trainer.compile: true does not work with several processes; valid: false, or one process")


def _check_micro_batches(trainer: TrainerConfig) -> None:
    if trainer.compile and trainer.micro_batches > 1:
        raise ConfigError(
            "trainer.compile: true does nothing with trainer.micro_batches above 1; valid: one of the two"
        )
    if trainer.micro_batches > trainer.batch_size:
        raise ConfigError(
            f"trainer.micro_batches: {trainer.micro_batches} parts of trainer.batch_size={trainer.batch_size} images; "
            f"valid: 1 to {trainer.batch_size}"
        )


def _check_classes(config: RunConfig, look_for_data: bool) -> list[int]:
    """Data set, class order, split and memory; returns the task sizes."""
    from cil.data.sources import count_classes, locate
    from cil.data.stream import class_order, task_sizes

    if look_for_data:
        locate(config.dataset)
    classes = config.dataset.classes if config.dataset.classes is not None else count_classes(config.dataset)
    class_order(config.class_order, config.class_order_seed, classes)
    sizes = task_sizes(config.split, classes)
    _check_exemplars(config, sizes[: config.trainer.max_tasks], classes)
    # The fixed policy shares the memory among all classes of the data set, those beyond the stream included.
    total = classes if config.memory.policy is MemoryPolicy.fixed else sum(sizes)
    size = config.memory.size or 0  # null: the method has no memory
    if 0 < size < total:
        raise ConfigError(
            f"memory.size: {size} is less than one exemplar for each of the {total} classes; "
            f"valid: 0 (no rehearsal) or {total} and more"
        )
    return sizes


def _check_branch(branch: BranchConfig, tasks: int) -> None:
    """Raises ConfigError for a branch after the last of the run's `tasks`: nothing would be left to train."""
    if (branch.task is None) != (branch.run_id is None) or (branch.run_id is not None and branch.run is None):
        raise ConfigError("branch: run_id, task and run are set together, by rerun=RUN from_task=k")
    if branch.task is not None and branch.task >= tasks:
        valid = f"valid: 1 to {tasks - 1}" if tasks > 1 else "it has no later task"
        raise ConfigError(
            f"from_task: {branch.task} leaves nothing to train, the new run has {tasks} "
            f"task{'s' if tasks > 1 else ''} (split, trainer.max_tasks); {valid}"
        )


def check_device(device: str) -> None:
    """Spelling of `device`, and for CUDA that it is there; only then torch is imported. Raises ConfigError."""
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", device)
    if match is None:
        raise ConfigError(f"device: {device!r} is unknown; valid: auto, cpu, cuda, cuda:N")
    if not device.startswith("cuda"):
        return
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise ConfigError(f"device: {device} is not there, this machine has no CUDA device; valid: auto, cpu")
    if int(match[1] or 0) >= count:
        there = ", ".join(f"cuda:{index}" for index in range(count))
        raise ConfigError(f"device: {device} is not there; valid: auto, cpu, cuda, {there}")


def _check_exemplars(config: RunConfig, sizes: list[int], classes: int) -> None:
    """Whether the budget holds the models, and the exemplars are enough for the method. sizes: of the tasks run."""
    from cil.data.memory import ExemplarMemory

    images, key = None, "memory.size"
    if config.memory.total_mb is not None:
        # Imports torch, which takes a moment.
        from cil.engine.memory_budget import images_by_known

        images, key = images_by_known(config, sizes, classes), "memory.total_mb"
    memory = ExemplarMemory(config.memory, classes, images)
    problem = config.method.problem({old: memory.quota(old) for old in list(accumulate(sizes))[:-1]})
    if problem is not None:
        raise ConfigError(f"{key}: {problem}")
