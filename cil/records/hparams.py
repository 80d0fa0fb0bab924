"""What TensorBoard's HPARAMS tab shows: a run's settings beside its last figures, and which columns stand first.

TensorBoard takes the columns from any one run that names some. A run alone names its own; the runs of a sweep leave
that to the sweep (cil/sweep/curves.py), which knows what differs.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2  # type: ignore[import-untyped]

from cil.config.identity import identity_part
from cil.config.typed import flat
from cil.config.usage import trains

CURVES = "curves"
"""Folder of a sweep with a named link to the TensorBoard folder of each run."""

METRICS = (
    "task/incremental_avg_top1",
    "task/top1",
    "task/forgetting_top1",
    "task/nme_incremental_avg_top1",
    "task/nme_top1",
    "contrast/gap",
    "contrast/violation_rate",
)
"""Figures beside the settings: the last value of each tag."""

Settings = dict[str, bool | int | float | str]


def settings_of(effective: dict[str, Any]) -> Settings:
    """Dotted key -> value of what has a part in the training; `effective` is a run's configuration."""
    values = flat(effective)
    known = flat({"name": effective["name"], **identity_part(effective)})
    return {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in known.items()
        if value is not None and trains(values, key)
    }


def told_by_sweep(run: Path) -> bool:
    """Whether the folder of a run lies in a sweep that names the columns."""
    return (run.parent / CURVES).is_dir()


def session(effective: dict[str, Any]) -> Iterable[Any]:
    """Summaries (protocol buffers) of a run that has ended well."""
    now = time.time()
    start = plugin_data_pb2.SessionStartInfo(start_time_secs=now)
    for key, value in settings_of(effective).items():
        kind = "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
        setattr(start.hparams[key], f"{kind}_value", value)
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=now)
    yield _summary(metadata.SESSION_START_INFO_TAG, session_start_info=start)
    yield _summary(metadata.SESSION_END_INFO_TAG, session_end_info=end)


def columns_alone(effective: dict[str, Any], written: Iterable[str]) -> Any:
    """The columns of one run: all of its settings, and those of METRICS that are among the tags `written`."""
    infos = [api_pb2.HParamInfo(name=key, type=_type([value])) for key, value in settings_of(effective).items()]
    return _columns(infos, [tag for tag in METRICS if tag in set(written)])


def columns_of_sweep(runs: Sequence[dict[str, Any]]) -> Any:
    """The columns of several runs, given by their effective configurations: what differs among them, and the loss."""
    settings = [settings_of(effective) for effective in runs]
    keys = dict.fromkeys(key for own in settings for key in own)
    shown = [key for key in keys if key == "loss.name" or len({own[key] for own in settings if key in own}) > 1]
    contrastive = any("loss.name" in own for own in settings)
    metrics = [tag for tag in METRICS if contrastive or not tag.startswith("contrast/")]
    return _columns([_info(key, settings) for key in shown], metrics)


def _info(key: str, settings: Sequence[Mapping[str, Any]]) -> Any:
    """A column that TensorBoard shows without being asked to (`differs`), with the values to filter by."""
    values = list(dict.fromkeys(own[key] for own in settings if key in own))
    info = api_pb2.HParamInfo(name=key, type=_type(values), differs=True)
    if info.type == api_pb2.DATA_TYPE_FLOAT64:
        info.domain_interval.min_value, info.domain_interval.max_value = min(values), max(values)
    elif info.type == api_pb2.DATA_TYPE_BOOL:
        info.domain_discrete.extend(values)
    else:
        info.domain_discrete.extend([str(value) for value in values])
    return info


def _type(values: Sequence[Any]) -> Any:
    """TensorBoard's type for these values; text where they are of several kinds."""
    if all(isinstance(value, bool) for value in values):
        return api_pb2.DATA_TYPE_BOOL
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return api_pb2.DATA_TYPE_FLOAT64
    return api_pb2.DATA_TYPE_STRING


def _columns(infos: Sequence[Any], metrics: Sequence[str]) -> Any:
    shown = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metrics]
    # Without a time: the same columns are the same bytes.
    return _summary(metadata.EXPERIMENT_TAG, experiment=api_pb2.Experiment(hparam_infos=infos, metric_infos=shown))


def _summary(tag: str, **content: Any) -> Any:
    """The tab's data travels in the metadata of a summary without a value."""
    data = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content))
    return Summary(value=[Summary.Value(tag=tag, metadata=data, tensor=metadata.NULL_TENSOR)])
