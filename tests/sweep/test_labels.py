"""How runs are called: by what differs among them."""

from cil.planning.plan import plan
from cil.sweep.labels import Labelled, common, labels, lines, names


def runs(*arguments):
    return [Labelled.of(job) for job in plan(["-m", *arguments]).jobs]


def test_what_differs_options_first_and_the_seed_last():
    found = labels(runs("loss=ant", "ant_margin=0.1,0.3", "seed=1994", "trainer.max_tasks=1,2"))
    assert found[0] == ["ant_margin=0.1", "trainer.max_tasks=1"]
    assert labels(runs("seed=1,2", "ant_margin=0.1,0.3", "loss=ant,infonce"))[0] == [
        "loss=ant", "ant_margin=0.1", "seed=1"
    ]  # fmt: skip
    assert names(runs("loss=ant", "ant_margin=0.3,0.1", "seed=1994,1"))[0] == "ant_margin=0.3,seed=1994"


def test_null_is_a_value_where_the_key_is_used():
    found = labels(runs("trainer.max_tasks=1,null"))
    assert found == [["trainer.max_tasks=1"], ["trainer.max_tasks=null"]]


def test_infonce_goes_without_the_margin_it_does_not_train_with():
    assert names(runs("loss=infonce,ant", "ant_margin=0.1,0.3", "seed=1,2")) == [
        "loss=infonce,seed=1",
        "loss=infonce,seed=2",
        "loss=ant,ant_margin=0.1,seed=1",
        "loss=ant,ant_margin=0.1,seed=2",
        "loss=ant,ant_margin=0.3,seed=1",
        "loss=ant,ant_margin=0.3,seed=2",
    ]


def test_a_key_that_is_constant_where_it_is_used_tells_nothing():
    assert labels(runs("loss=infonce,ant", "ant_margin=0.2")) == [["loss=infonce"], ["loss=ant"]]


def test_groups_are_called_by_the_option_not_by_the_keys_in_it():
    assert labels(runs("loss=ant,ant_adaptive,ant_hard")) == [["loss=ant"], ["loss=ant_adaptive"], ["loss=ant_hard"]]
    assert labels(runs("experiment=baseline,gap_max"))[1] == ["experiment=gap_max"]


def test_a_method_without_a_loss_goes_without_its_settings():
    found = labels(runs("method=tagfex,finetune", "loss=ant,ant_hard"))
    assert found == [["method=tagfex", "loss=ant"], ["method=tagfex", "loss=ant_hard"], ["method=finetune"]]


def test_commands_that_name_different_keys_go_together():
    """What one does not name it has all the same."""
    found = labels([*runs("loss=ant", "seed=1,2"), *runs("loss=infonce,ant", "ant_margin=0.30", "seed=1")])
    assert found[0] == ["loss=ant", "ant_margin=0.1", "seed=1"]
    assert found[2] == ["loss=infonce", "seed=1"]
    assert found[3] == ["loss=ant", "ant_margin=0.3", "seed=1"]


def test_names_are_unique():
    stored = [*runs("loss=infonce", "ant_margin=0.1", "seed=1,2"), *runs("loss=infonce", "ant_margin=0.3", "seed=1")]
    first, second, third = names(stored)
    assert second == "seed=2"
    assert first == f"seed=1,id={stored[0].id[:6]}" and third == f"seed=1,id={stored[2].id[:6]}"


def test_names_fit_a_file_system(monkeypatch):
    assert names(runs("loss=ant", "dataset.name=a/b,c:d")) == ["dataset.name=a_b", "dataset.name=c_d"]
    monkeypatch.setattr("cil.sweep.labels.LONGEST", 12)
    cut = names(runs("loss=ant", "trainer.max_tasks=1,2"))
    assert len(set(cut)) == 2 and all(name.startswith("trainer.max~,id=") for name in cut)


def test_a_single_run_has_its_identity_for_a_name():
    (run,) = runs("seed=1")
    assert names([run]) == [run.id]
    assert lines(plan(["-m", "seed=1", "loss=ant"]).jobs) == ["seed=1 loss=ant"]


def test_what_all_have_in_common():
    assert common([["a=1", "b=2"], ["a=1", "b=3"]]) == ["a=1"]
    assert common([["a=1"]]) == []
