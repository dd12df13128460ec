"""Typed inputs: what each type takes, and that nothing else gets past."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magic.definitions import load_yaml, make_definition, parse_definition
from magic.inputs import Input, InputType
from magic.values import check_value, check_values, example

ENUM = ("red", "green", "blue")


def declared(kind: str, **more: Any) -> Input:
    if kind in {"enum", "multi-enum"}:
        more.setdefault("enum", ENUM)
    return Input(id="x", label="X", type=InputType(kind), **more)


GOOD: list[tuple[str, Any, Any]] = [
    ("string", " one line ", "one line"),
    ("text", "two\r\nlines\ttoo", "two\nlines\ttoo"),
    ("int", 0, 0),
    ("int", "-12", -12),
    ("int", 3.0, 3),
    ("float", "1e3", 1000.0),
    ("float", 2, 2),
    ("float", ".5", 0.5),
    ("bool", False, False),
    ("bool", "true", True),
    ("date", "2024-02-29", "2024-02-29"),
    ("date", date(2024, 2, 29), "2024-02-29"),
    ("enum", "red", "red"),
    ("multi-enum", ["blue", "red"], ["red", "blue"]),
    ("email", "a.b+c@example.co.uk", "a.b+c@example.co.uk"),
    ("url", "https://example.com/ä?b=1#c", "https://example.com/ä?b=1#c"),
]

BAD: dict[str, tuple[Any, ...]] = {
    "string": (1, True, ["a"], {}, "a\nb", "a\u2028b", "a\0b", "x" * 501, "\ud800"),
    "text": (1, "a\0b", "\x1b[31m", "x" * 32_001, "\uffff"),
    "int": ("x", "1.5", 1.5, True, "1e3", "٣", 10**15, math.nan, math.inf, [1], "--1"),
    "float": ("x", "nan", "inf", math.nan, math.inf, True, 10**400, "1e999", "0x1"),
    "bool": ("yes", 1, 0, "maybe", [True]),
    "date": ("2023-02-29", "today", "20240101", "2024-1-1", 20240101, "2024-01-01T00:00", "٢٠٢٤-٠١-٠١"),
    "enum": ("Red", "red ", 1, ["red"], "purple"),
    "multi-enum": ("red", ["purple"], ["red", "red"], [1], {"red": 1}, [["red"]]),
    "email": ("a", "a@", "@b.c", "a@b", "a b@c.de", 1, "a@b.c,d@e.fg", "<a@b.cd>"),
    "url": ("example.com", "javascript:alert(1)", "ftp://a.b/c", "https://", "http://a b.c", 1),
}


@pytest.mark.parametrize(("kind", "value", "as_checked"), GOOD)
def test_what_a_type_takes(kind: str, value: Any, as_checked: Any) -> None:
    checked = check_value(declared(kind), value)
    assert checked == as_checked and type(checked) is type(as_checked)


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in BAD.items() for value in values])
def test_what_a_type_refuses(kind: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        check_value(declared(kind), value)


@pytest.mark.parametrize(
    ("kind", "rules", "good", "bad"),
    [
        ("string", {"min_length": 2, "max_length": 3}, "abc", "a"),
        ("string", {"max_length": 3}, "abc", "abcd"),
        ("string", {"pattern": "[A-Z]+-[0-9]+"}, "INV-1", "INV-1x"),
        ("string", {"pattern": "a|b"}, "b", "bc"),
        ("int", {"min": 1, "max": 5}, 5, 6),
        ("float", {"min": 0.5}, 0.5, 0.4),
        ("date", {"min": "2024-01-01"}, "2024-01-01", "2023-12-31"),
        ("date", {"max": "2024-01-01"}, "2024-01-01", "2024-01-02"),
        ("multi-enum", {"min_items": 2}, ["red", "blue"], ["red"]),
        ("multi-enum", {"max_items": 1}, ["red"], ["red", "blue"]),
    ],
)
def test_validators(kind: str, rules: dict[str, Any], good: Any, bad: Any) -> None:
    checked = declared(kind, validators=rules)
    check_value(checked, good)
    with pytest.raises(ValueError, match=r"^must "):
        check_value(checked, bad)


def test_a_pattern_cannot_be_made_to_backtrack() -> None:
    with pytest.raises(ValueError, match="must match"):
        check_value(declared("text", validators={"pattern": "(a+)+b"}), "a" * 30_000)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    inputs = [
        Input(id="a", label="A", type=InputType.INT, required=True),
        Input(id="b", label="B", type=InputType.STRING, required=True),
        Input(id="c", label="C", type=InputType.BOOL),
    ]
    _, errors = check_values(inputs, {"a": "x", "c": 7, "stranger": 1})
    assert [(error.name, error.reason) for error in errors] == [
        ("a", "must be a whole number"),
        ("b", "is required"),
        ("c", "must be true or false"),
        ("stranger", "is not an input of this template"),
    ]


def test_what_is_left_out_is_the_default_and_what_is_emptied_is_nothing() -> None:
    inputs = [
        declared("string", default="d"),
        Input(id="y", label="Y", type=InputType.MULTI_ENUM, enum=ENUM, default=["red"]),
        Input(id="z", label="Z", type=InputType.BOOL),
    ]
    assert check_values(inputs, {})[0] == {"x": "d", "y": ["red"], "z": False}
    assert check_values(inputs, {"x": None, "y": None, "z": None})[0] == {"x": "d", "y": ["red"], "z": False}
    assert check_values(inputs, {"x": " ", "y": [], "z": ""})[0] == {"x": None, "y": [], "z": False}
    required = [each.model_copy(update={"required": True}) for each in inputs]
    assert [error.name for error in check_values(required, {"x": "", "y": [], "z": ""})[1]] == ["x", "y", "z"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(kind=st.sampled_from(list(InputType)), value=ANYTHING)
@settings(deadline=None)
def test_any_value_is_checked_or_refused_with_the_rule(kind: InputType, value: Any) -> None:
    try:
        checked = check_value(declared(kind), value)
    except ValueError as error:
        assert str(error).startswith("must ")
    else:
        assert check_value(declared(kind), checked) == checked, "what was checked stays as it is"


@given(values=st.dictionaries(st.text(max_size=5) | st.just("x"), ANYTHING, max_size=4))
@settings(deadline=None)
def test_any_inputs_make_values_or_errors(values: dict[str, Any]) -> None:
    checked, errors = check_values([declared("text", required=True)], values)
    assert bool(errors) != (set(checked) == {"x"} and not set(values) - {"x"})


@pytest.mark.parametrize("kind", list(InputType))
def test_an_example_is_a_good_value(kind: InputType) -> None:
    check_value(declared(kind), example(declared(kind)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"type": "colour"}, "type"),
        ({"type": "int", "default": "x"}, "x: the default must be a whole number"),
        ({"type": "enum"}, "need an enum"),
        ({"type": "string", "enum": ["a"]}, "need an enum"),
        ({"type": "enum", "enum": ["a", "a"]}, "each is there once"),
        ({"type": "bool", "validators": {"min": 1}}, "has no validator min"),
        ({"type": "int", "validators": {"min": "2024-01-01"}}, "min and max are of the input's type"),
        ({"type": "string", "validators": {"pattern": "(?<=a)b"}}, "linear time"),
        ({"type": "string", "validators": {"patern": "a"}}, "validators.patern"),
        ({"type": "string", "requird": True}, "requird"),
        ({"id": "X y"}, "id"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(change: dict[str, Any], says: str) -> None:
    values = {"id": "x", "label": "X", "type": "string", **change}
    with pytest.raises(ValueError) as refused:
        make_definition({"name": "t", "title": "T", "description": "D", "body": "b", "inputs": [values]})
    assert says in str(refused.value)


def test_a_word_is_a_word_and_only_true_and_false_are_booleans() -> None:
    assert load_yaml("[yes, No, on, OFF, true, false, f]") == [
        "yes",
        "No",
        "on",
        "OFF",
        True,
        False,
        "f",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [",
        "- 1",
        "!!python/object/apply:os.system ['true']",
        "a: &a [*a]",
        "[" * 500,
        "a" * 50_001,
        "name: \x00",
        "null",
    ],
)
def test_what_is_no_template_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_definition(text)
    assert str(refused.value) and "Traceback" not in str(refused.value)
