"""Each mistake is one line that names the key, before anything is written."""

import pytest

from cil.errors import ConfigError
from cil.planning.plan import compose_jobs

CASES = [
    # group options and keys
    (["loss=antt"], "loss: no option 'antt'; did you mean ant? valid: ant, ant_adaptive"),
    (["dataset=cifar1000"], "did you mean cifar100?"),
    (["loss="], "loss: no option ''"),
    (["loss=null"], "loss: no option 'null'"),
    (["experiment=basline"], "experiment: no option 'basline'; did you mean baseline?"),
    (["experiment=[baseline,nope]"], "experiment: no option 'nope'"),
    (["debug=smok"], "did you mean smoke?"),
    (
        ["method=ewc"],
        "method: no option 'ewc'; valid: bic, der, finetune, foster, icarl, joint, lwf, memo, replay, tagfex, wa",
    ),
    (["trainer=[default]"], "trainer: no option"),
    (["loss@other=ant"], "loss@other: a group has its fixed place"),
    (["+experiment=baseline"], "without the '+'"),
    (["gibberish=1"], "gibberish: unknown key; valid: name, tags, notes, seed"),
    (["+gibberish=1"], "gibberish: unknown key"),
    (["++loss.gibberish=1"], "loss.gibberish: unknown key; valid: loss.name"),
    (["loss.tempratur=1"], "loss.tempratur: unknown key; did you mean loss.temperature?"),
    (["method.attention_head=4"], "did you mean method.attention_heads?"),
    (["lr=0.1"], "lr: unknown key; did you mean optimizer.lr?"),
    (["learning_rate=0.1"], "learning_rate: unknown key; did you mean optimizer.lr?"),
    (["batch_size=8"], "batch_size: unknown key; did you mean trainer.batch_size?"),
    (["loss.margin=0.3"], "loss.margin: unknown key; did you mean ant_margin?"),
    (["margin=0.3"], "margin: unknown key; did you mean ant_margin?"),
    (["margin_schedule.margin=[0]"], "did you mean margin_schedule.margins?"),
    (["epochs=3"], "did you mean trainer.init_epochs (task 1) and trainer.inc_epochs (later tasks)?"),
    (["trainer.epochs=3"], "did you mean trainer.init_epochs (task 1) and trainer.inc_epochs (later tasks)?"),
    (["weight_decay=0"], "optimizer.init_weight_decay (task 1) and optimizer.inc_weight_decay (later tasks)?"),
    (["datset=digits"], "did you mean dataset?"),
    (["loss.prototypes=repel", "memory.size=0"], "loss.prototypes: repel needs exemplars, and memory.size is 0"),
    (
        ["loss.prototype_delta=2", "loss.prototypes=repel"],
        "loss.prototype_delta: 2 is out of range; must lie in [-1, 1]",
    ),
    (["memory.selection=speed", "memory.slow=1"], "memory.slow: 1 is out of range; must lie in [0, 1)"),
    (["prune.ratio=1"], "prune.ratio: 1 is out of range; must lie in [0, 1)"),
    (["prune.ratio=-0.1"], "prune.ratio: -0.1 is out of range; must lie in [0, 1)"),
    (
        ["prune.ratio=0.01"],
        "prune.ratio: 0.01 removes no filter of resnet8, whose widest layers have 64; valid: 0 (off), or 0.015625 and "
        "more",
    ),
    (["teacher.average_last=0"], "teacher.average_last: 0 is out of range; must be 1 or greater"),
    (["tracking.mechanism_every=-1"], "tracking.mechanism_every: -1 is out of range; must be 0 or greater"),
    (["loss.temperature.deep=1"], "loss.temperature.deep: unknown key"),
    (["+loss.temperature=1"], "loss.temperature: exists already"),
    (["~loss.temperature"], "loss.temperature: cannot be deleted"),
    (["~loss"], "loss: cannot be deleted"),
    (["hydra.verbose=true"], "hydra.verbose: there are no debug messages to show"),
    (["-m", "seed=1,2", "hydra.verbose=[cil]"], "hydra.verbose: there are no debug messages to show"),
    # keys of other programs
    (["adaptive_margin=true"], "margin_schedule=linear"),
    (["initial_margin=0.1"], "margin_schedule.initial_margin=VALUE"),
    (["target_margin=0.1"], "margin_schedule.target_margin=VALUE"),
    (["+enable_gap_max=true"], "loss=ant_gap"),
    (["gap_target=0.7"], "loss.gap_target=VALUE"),
    (["hard_negative_mining=true"], "loss=ant_hard"),
    (["hard_negative_ratio=0.3"], "loss.hard_negative_ratio=VALUE"),
    (["ant_max_global=true"], "loss.reference=global"),
    (["nce_alpha=1"], "loss.nce_alpha=VALUE"),
    # a key twice
    (["seed=1", "seed=2"], "seed: is given twice, seed=1 and seed=2; leave one of them out"),
    (["loss=ant", "seed=1", "loss=infonce"], "loss: is given twice, loss=ant and loss=infonce"),
    (["++seed=1", "seed=2"], "seed: is given twice, ++seed=1 and seed=2"),
    (["-m", "seed=1,2", "seed=3"], "seed: is given twice, seed=1,2 and seed=3"),
    (["experiment=gap_max", "experiment=infonce"], "(one on top of the other is experiment=[A,B])"),
    (["dry_run=true", "dry_run=false"], "dry_run: is given twice"),
    (["hydra.run.dir=a", "hydra.run.dir=b"], "hydra.run.dir: is given twice"),
    # syntax
    (["seed"], "seed: is not of the form KEY=VALUE"),
    (["seed=[1,2"], "bad syntax"),
    (["loss=ant,infonce"], "several values are a sweep, which needs -m"),
    (["notes=one, two"], "a text with a comma KEY='\"A, B\"'"),
    (["tags=one"], "tags: 'one' is not valid; expected a list of texts"),
    (["tags=[one,a b]"], "tags: [one, a b] holds what is no tag; must be of up to 64 letters, digits, '_', '.', '/'"),
    (["tags=['']"], "holds what is no tag"),
    (["--bogus"], "unrecognized arguments: --bogus"),
    (["seed=1", "-m", "loss=ant"], "options such as -m stand before or after"),
    (["--cfg", "nope"], "invalid choice: 'nope'"),
    # types
    (["trainer.init_epochs=abc"], "trainer.init_epochs: 'abc' is not valid; expected an integer"),
    (["trainer.init_epochs=2.5"], "trainer.init_epochs: 2.5"),
    (["trainer.init_epochs=true"], "trainer.init_epochs: True"),
    (["seed="], "seed: '' is not valid; expected an integer"),
    (["trainer.compile=maybe"], "expected true or false"),
    (["ant_margin=abc"], "ant_margin: 'abc' is not valid; expected a number or null"),
    (["dataset.name=null"], "dataset.name: null is not valid; expected text"),
    (["augment=imagenet"], "valid: a larger one, augment.resized_crop=false, or another augment=NAME"),
    (["loss.reference=anchr"], "loss.reference: 'anchr' is unknown; did you mean anchor? valid: anchor, global"),
    (["trainer.precision=fp8"], "trainer.precision: 'fp8' is unknown; valid: fp32, bf16, fp16"),
    (["memory.policy=null"], "memory.policy: null is not valid; expected one of total, fixed"),
    (["optimizer.lr={a: 1}"], "optimizer.lr"),
    (["optimizer={lr: 1}"], "optimizer: no option"),
    (["margin_schedule.margins=[a]"], "margin_schedule.margins: ['a'] is not valid; expected a list of numbers"),
    (["split.sizes=5"], "split.sizes: 5 is not valid; expected a list of integers"),
    # ranges
    (["ant_margin=-0.1"], "ant_margin: -0.1 is out of range"),
    (["ant_margin=nan"], "ant_margin: nan is not a finite number"),
    (["ant_margin=inf"], "ant_margin: inf is not a finite number"),
    (["margin_schedule.target_margin=-1"], "margin_schedule.target_margin: -1"),
    (["loss=ant_curriculum", "margin_schedule.margins=[0.1,0.2,-0.3,0.4]"], "margin_schedule.margins"),
    (["loss.temperature=0"], "loss.temperature: 0 is out of range; must be greater than 0"),
    (["loss=infonce", "loss.temperature=-1"], "loss.temperature: -1"),
    (["loss=ant_hard", "loss.hard_negative_ratio=0"], "must lie in (0, 1]"),
    (["loss.hard_negative_ratio=1.5"], "must lie in (0, 1]"),
    (["loss=infonce", "loss.hard_negative_ratio=2"], "must lie in (0, 1]"),
    (["trainer.init_epochs=-1"], "trainer.init_epochs: -1"),
    (["trainer.batch_size=0"], "trainer.batch_size: 0"),
    (["optimizer.lr=-1"], "optimizer.lr: -1"),
    (["optimizer.init_milestones=[-1]"], "optimizer.init_milestones"),
    (["trainer.grad_clip_norm=0"], "trainer.grad_clip_norm"),
    (["trainer.micro_batches=0"], "trainer.micro_batches: 0"),
    (["trainer.micro_batches=9", "trainer.batch_size=8"], "trainer.micro_batches: 9 parts of trainer.batch_size=8"),
    (["loss.chunk_rows=1"], "loss.chunk_rows: 1 is out of range; must be 2 or greater"),
    (["trainer.max_tasks=0"], "trainer.max_tasks"),
    (["method.transfer_temperature=0"], "method.transfer_temperature"),
    (["seed=-1"], "seed: -1"),
    (["augment.std=[1,2,0]"], "augment.std"),
    # combinations
    (["loss=ant_curriculum", "margin_schedule.epochs=[0,5,3,6]"], "[0, 5, 3, 6] must be strictly ascending"),
    (["loss=ant_curriculum", "margin_schedule.epochs=[1,5,7,8]"], "must start at 0"),
    (["loss=ant_curriculum", "margin_schedule.epochs=[]", "margin_schedule.margins=[]"], "must start at 0"),
    (["loss=ant_curriculum", "margin_schedule.epochs=[0,5]"], "4 margins for 2 epochs"),
    (["loss=ant_curriculum", "margin_schedule.epochs=[0,0.5,2,3]"], "whole numbers"),
    (["loss=ant_curriculum", "ant_margin=0.3"], "ant_margin: 0.3 cannot be combined with margin_schedule=curriculum"),
    (["margin_schedule=curriculum", "ant_margin=0.3"], "ant_margin: 0.3 cannot be combined"),
    (
        ["loss=ant", "margin_schedule=linear", "ant_margin=0.3", "margin_schedule.initial_margin=0.2"],
        "contradicts margin_schedule.initial_margin=0.2",
    ),
    (["ant_margin=0.3", "margin_schedule.initial_margin=0.2"], "ant_margin: 0.3 contradicts"),
    (["margin_schedule.start_epoch=5", "margin_schedule.end_epoch=5"], "must be greater than start_epoch=5"),
    (["margin_schedule.start_epoch=11"], "must be less than the 10 epochs of later tasks"),
    (["loss.nce_alpha=0", "loss.ant_beta=0"], "loss.nce_alpha and loss.ant_beta"),
    (["loss=infonce", "loss.nce_alpha=0"], "loss.nce_alpha"),
    (["loss.nce_alpha=0", "loss.ant_term=false"], "loss.nce_alpha and loss.ant_beta"),
    (["loss.temperature=null"], "loss.temperature: needs a value"),
    (["loss.formulation=topk", "loss.topk=null"], "loss.topk: needs a value"),
    (["loss=ant_gap", "loss.gap_target=null"], "loss.gap_target: needs a value"),
    (["split.base=3", "split.increment=3"], "split.increment: 3 does not divide"),
    (["split=20-20"], "split.base: 20"),
    (["split.sizes=[3,3,3,3]"], "split.sizes"),
    (["class_order=[0,1,2,3,4,5,6,7,8,8]"], "class_order: 8 is repeated"),
    (["class_order=[0,1,2,3,4,5,6,7,8]"], "class_order: 9 is missing"),
    (["class_order=[0,1,2,3,4,5,6,7,8,-1]"], "class_order: -1 is negative"),
    (["class_order=pycl"], "did you mean pycil?"),
    (["memory.size=5"], "memory.size: 5 is less than one exemplar for each of the 10 classes"),
    (["memory.total_mb=0"], "memory.total_mb: 0 is out of range; must be greater than 0"),
    (["memory.total_mb=1"], "memory.total_mb: 1 is less than the 1."),
    (["memory.total_mb=lots"], "memory.total_mb: 'lots' is not valid; expected a number or null"),
    (["method.attention_heads=7"], "method.attention_heads: 7 does not divide the 64 features of resnet8"),
    (["optimizer.init_milestones=[5,3]"], "optimizer.init_milestones: [5, 3] must be strictly ascending"),
    (["backbone.name=resnet50"], "backbone.name: no backbone 'resnet50'"),
    (["loss.name=foo"], "loss.name: no loss 'foo'; valid: ant, infonce"),
    (["method=finetune", "method.attention_heads=4"], "method.attention_heads: is a key of another method"),
    (
        ["method.name=foo"],
        "method.name: no method 'foo'; valid: bic, der, finetune, foster, icarl, joint, lwf, memo, replay, tagfex, wa",
    ),
    (["dataset.source=foo"], "dataset.source: 'foo'"),
    (["augment.resized_crop=true"], "augment.resized_crop"),
    (["augment.mean=[1,2]"], "augment.mean: [1, 2] must hold 3 numbers"),
    (["name=a/b"], "name: 'a/b'"),
    (["name=.."], "name: '..'"),
    (["name=sweeps"], "name: 'sweeps'"),
    (["name=-x"], "name: '-x'"),
    (["name=.gitignore"], "name: '.gitignore'"),
    ([f"name={'a' * 300}"], "name: 'aaa"),
    (["device=gpu"], "device: 'gpu' is unknown; valid: auto, cpu, cuda, cuda:N"),
    (["device=cuda:-1"], "device: 'cuda:-1'"),
    # data that is not there
    (["dataset=cifar100", "dataset.root=/does/not/exist"], "dataset.root"),
    (["dataset=image_folder"], "dataset.root"),
    (["dataset=imagenet100", "dataset.root=/does/not/exist"], "dataset.root"),
    # sweeps
    (["-m", "loss=ant,typo"], "loss: no option 'typo'"),
    (["-m", "seed=1,2", "ant_margin=0.1,-0.1"], "ant_margin: -0.1"),
    (["-m", "seed=interval(0,1)"], "does not support sweep type"),
    (["-m", "hydra.run.dir=a,b"], "Sweeping over Hydra's configuration"),
    (["-m", "--cfg", "job"], "--multirun and --cfg: only one"),
    # what Hydra itself reads
    (["hydra/launcher=nope"], "hydra/launcher/nope"),
    (["hydra.nope=1"], "hydra.nope"),
    (["-m", "seed=1,2", "hydra.launcher=joblib"], "hydra.launcher=joblib: write hydra/launcher=joblib"),
    (["hydra.sweeper=x"], "hydra.sweeper=x: write hydra/sweeper=x"),
    (["hydra.job_logging=none"], "hydra.job_logging=none: write hydra/job_logging=none"),
    (["hydra/launcher.n_jobs=2"], "hydra/launcher.n_jobs=2: write hydra.launcher.n_jobs=2"),
    (["hydra.run.dir=${nope}"], "hydra.run.dir"),
    (["--experimental-rerun", "job.pickle"], "--experimental-rerun: refused"),
    (["--config-name", "other"], "--config-name: not supported"),
    (["--config-path", "other"], "--config-path: not supported"),
    (["--config-dir", "/does/not/exist"], "--config-dir: /does/not/exist is not a folder"),
    (["--resolve"], "--resolve"),
    (["--help", "loss=typo"], "loss: no option 'typo'"),
    (["--cfg", "job", "trainer.init_epochs=abc"], "trainer.init_epochs"),
    (["--cfg", "job", "--package", "losss"], "--package: losss"),
]


@pytest.mark.parametrize(("arguments", "expected"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_one_line_that_names_the_key(arguments, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        compose_jobs(arguments)
    message = str(caught.value)
    assert expected in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


def write(folder, name, text):
    (folder / "experiment").mkdir(exist_ok=True)
    (folder / "experiment" / f"{name}.yaml").write_text(f"# @package _global_\n{text}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loss:\n  typo: 3\n", "loss.typo: unknown key"),
        ("typo: 3\n", "typo: unknown key"),
        ("defaults:\n  - override /loss: nope\n", "loss/nope"),
        ("loss: 3\n", "loss"),
        ("a: [1\n", "own.yaml"),
    ],
)
def test_mistakes_in_an_own_experiment(text, expected, tmp_path):
    write(tmp_path, "own", text)
    with pytest.raises(ConfigError) as caught:
        compose_jobs(["--config-dir", str(tmp_path), "experiment=own"])
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_cuda_device_is_refused(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert compose_jobs(["device=cuda:1"])[0].config.device == "cuda:1"
    with pytest.raises(ConfigError, match="device: cuda:7 is not there; valid: auto, cpu, cuda, cuda:0, cuda:1"):
        compose_jobs(["device=cuda:7"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no CUDA device"):
        compose_jobs(["device=cuda"])


def test_a_swept_root_needs_names_of_its_own(tmp_path):
    with pytest.raises(ConfigError, match=r"dataset\.root: two jobs differ only in"):
        compose_jobs(["-m", f"dataset.root={tmp_path}/a,{tmp_path}/b"])
