from cil.config.usage import flat, put


def test_a_key_is_set_in_its_group_or_at_the_top():
    nested = {"seed": 1, "loss": {"name": "ant", "topk": 3}}
    put(nested, "loss.topk", 5)
    put(nested, "seed", 2)
    assert nested == {"seed": 2, "loss": {"name": "ant", "topk": 5}}
    assert flat(nested) == {"seed": 2, "loss.name": "ant", "loss.topk": 5}
