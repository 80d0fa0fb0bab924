"""docs/config.md is current, and every key is documented."""

from dataclasses import fields
from pathlib import Path

import pytest

from cil.config.locations import config_dir
from cil.config.names import COMMON_WORDS, FOREIGN_KEYS, key_types
from cil.planning.docs import field_docs, main, option_docs, schemas

PAGE = Path(__file__).resolve().parents[2] / "docs" / "config.md"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """The page as `main` writes it now."""
    path = tmp_path_factory.mktemp("docs") / "sub" / "page.md"
    main([str(path)])
    return path.read_text(encoding="utf-8")


def test_the_page_is_current(text):
    assert PAGE.read_text(encoding="utf-8") == text, "run: python -m cil.planning.docs"


@pytest.mark.parametrize(("heading", "schema"), schemas().items(), ids=lambda part: str(part))
def test_every_field_is_documented(heading, schema):
    docs = field_docs(schema)
    assert schema.__doc__
    for field in fields(schema):
        assert docs.get(field.name, "").endswith("."), f"{heading}.{field.name}"


def test_a_field_without_text_is_noticed():
    from tests.planning import undocumented

    assert field_docs(undocumented.Half) == {"told": "This one."}


def test_every_option_is_described():
    for group in (folder.name for folder in config_dir().iterdir() if folder.is_dir()):
        assert all(option_docs(group).values()), group


def test_every_key_and_option_is_on_the_page(text):
    assert all(f"| `{key}` |" in text for key in key_types())


def test_the_page_tells_valid_ranges_and_no_null_that_nobody_may_write(text):
    assert "| `loss.hard_negative_ratio` | a number or null, in (0, 1] | `null` |" in text
    assert "| `augment.std` | a list of numbers, each greater than 0 |" in text
    assert "| `memory.size` | an integer, 0 or greater | `200` |" in text


def test_rules_and_translations_name_existing_keys():
    assert set(COMMON_WORDS.values()) <= set(key_types())
    for target in FOREIGN_KEYS.values():
        key, _, value = target.partition("=")
        assert key in key_types() or value in option_docs(key)
