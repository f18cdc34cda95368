import pytest
from ollama_nb_server.engine.grammars.schemas.apart import exclusive

CARD = {"properties": {"kind": {"const": "card"}}, "required": ["kind"]}
CASH = {"properties": {"kind": {"const": "cash"}}, "required": ["kind"]}
A = {"type": "object", "properties": {"a": {}}, "required": ["a"]}
B = {"type": "object", "properties": {"b": {}}, "required": ["b"]}
MAYBE_B = {"type": "object", "properties": {"b": {}}}


def told_apart(*branches: object, closed: bool = True) -> bool:
    return exclusive(list(branches), lambda node: node, closed=closed)


@pytest.mark.parametrize(
    "branches",
    [
        ({"type": "string"}, {"type": "integer"}, {"type": "null"}),
        ({"type": "string"}, {"type": ["integer", "null"]}),
        ({"const": 1}, {"enum": [2, "x"]}, {"type": "boolean"}),
        ({"type": "object", **CARD}, {"type": "object", **CASH}),
        (A, B),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "number"}),
        (False, {"type": "string"}),
        ({"allOf": [A]}, {"type": "string"}),
    ],
    ids=str,
)
def test_schemas_of_which_no_two_fit(branches):
    assert told_apart(*branches)


@pytest.mark.parametrize(
    "branches",
    [
        ({"type": "integer"}, {"type": "number"}),
        ({"const": 1}, {"const": 1.0}),
        ({"const": 1}, {"type": "number"}),
        (CARD, CASH),  # anything that is no object fits both
        (A, MAYBE_B),  # what fits the first fits the second as it was sent
        ({"type": "string"}, {"minLength": 3}),
        ({}, {"type": "string"}),
        (True, {"type": "string"}),
        ({"type": "object"}, {"type": "object", **CARD}),
    ],
    ids=str,
)
def test_schemas_that_cannot_be_told_apart(branches):
    assert not told_apart(*branches)


def test_open_objects_may_have_each_others_properties():
    assert not told_apart(A, B, closed=False)


def kinds(count: int, **more: object) -> list[dict]:
    return [
        {"type": "object", "properties": {"kind": {"const": n}}, "required": ["kind"], **more}
        for n in range(count)
    ]


def test_many_objects_are_told_apart_by_the_constant_that_each_needs():
    assert told_apart(*kinds(5000))


def test_one_constant_twice_among_many_is_found():
    assert not told_apart(*kinds(100), kinds(100)[50])


def test_a_constant_that_is_not_required_tells_nothing_apart():
    assert not told_apart(*kinds(3, required=[]))


def test_more_than_can_be_compared_in_time_cannot_be_told_apart():
    few, many = (
        [
            {"type": "object", "properties": {f"k{n}": {}}, "required": [f"k{n}"]}
            for n in range(most)
        ]
        for most in (50, 2000)
    )

    assert told_apart(*few)
    assert not told_apart(*many)


def test_many_enumerations_are_told_apart_by_their_values():
    assert told_apart(*({"enum": [f"{n} of {m}" for m in range(50)]} for n in range(400)))
