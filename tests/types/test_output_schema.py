"""Users' types as schemas, and JSON as their values: names, roots, paths."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Optional, TypedDict

import msgspec
import pydantic
import pytest

from roci.errors import UsageError
from roci.types.output_schema import NoMatchError, output_of_schema, output_of_type


@dataclasses.dataclass
class Point:
    x: int


class Node(pydantic.BaseModel):
    value: int
    next: Optional[Node] = None  # noqa: UP045 - as users of pydantic write it


class Struct(msgspec.Struct):
    inner: list[Point]


@dataclasses.dataclass
class HoldsPydantic:
    node: Node


class Keys(TypedDict):
    a: int


def anything(_: Any) -> None:
    return None


@pytest.mark.parametrize(
    ("wanted", "name"),
    [(Point, "Point"), (list[Point], "answer"), (Node, "Node"), (int, "int"), (Point | None, "answer")],
)
def test_names_are_those_of_the_types(wanted: Any, name: str) -> None:
    assert output_of_type(wanted).name == name


@pytest.mark.parametrize(
    "wanted", [Point, Node, Struct, HoldsPydantic, Keys, list[Node], int, Annotated[int, pydantic.Field(ge=1)]]
)
def test_every_root_is_an_object(wanted: Any) -> None:
    output = output_of_type(wanted)

    assert output.schema["type"] == "object"
    assert output.is_wrapped == (list(output.schema["properties"]) == ["value"] and wanted is not Node)


@pytest.mark.parametrize(
    ("wanted", "text", "path"),
    [
        (Struct, '{"inner": [{"x": 1}, {"x": null}]}', "$.inner[1].x"),
        (list[Struct], '{"value": [{"inner": 1}]}', "$[0].inner"),
        (Node, '{"value": 1, "next": {"value": "a"}}', "$.next.value"),
        (list[Node], '{"value": [{"value": "a"}]}', "$[0].value"),
        (HoldsPydantic, '{"node": {}}', "$.node.value"),
        (Annotated[int, pydantic.Field(ge=1)], '{"value": 0}', "$"),
        (Annotated[int, msgspec.Meta(ge=1)], '{"value": 0}', "$"),
        (Point, '{"x": 1', "$"),
        (Node, '{"value": 1', "$"),
    ],
)
def test_a_fault_has_the_path_in_the_users_value(wanted: Any, text: str, path: str) -> None:
    with pytest.raises(NoMatchError) as caught:
        output_of_type(wanted).read(text)

    assert caught.value.json_path == path
    assert caught.value.is_json == text.endswith("}")


def test_several_faults_of_pydantic_are_told_together() -> None:
    class Many(pydantic.BaseModel):
        a: int
        b: int
        c: int
        d: int

    with pytest.raises(NoMatchError, match=r"\(at \$\.a\).*\(at \$\.c\); and 1 more") as caught:
        output_of_type(Many).read("{}")

    assert caught.value.json_path == "$.a"


def test_a_wrong_value_before_broken_json_is_broken_json() -> None:
    with pytest.raises(NoMatchError) as caught:
        output_of_type(Point).read('{"x": "a", ')

    assert not caught.value.is_json


def test_references_still_lead_somewhere_once_a_schema_is_wrapped() -> None:
    schema = {"type": "array", "items": {"anyOf": [{"$ref": "#"}, {"$ref": "#/$defs/A"}, {"const": {"$ref": "#"}}]}}
    schema |= {"$defs": {"A": {"type": "null"}}}

    items = output_of_schema(schema, anything).schema["properties"]["value"]["items"]["anyOf"]

    assert items == [{"$ref": "#/properties/value"}, {"$ref": "#/properties/value/$defs/A"}, {"const": {"$ref": "#"}}]


def test_a_schema_that_is_a_reference_is_opened() -> None:
    schema = {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "title": "My answer!"}}, "title": "It"}

    output = output_of_schema(schema, anything)

    assert (output.schema, output.name, output.is_wrapped) == ({"type": "object", "title": "My answer!"}, "It", False)


def test_a_type_is_made_into_a_schema_once() -> None:
    assert output_of_type(Point) is output_of_type(Point)
    assert output_of_type(list[Point]) is output_of_type(list[Point])


@pytest.mark.parametrize("wanted", [5, "Point", None, list["Nowhere"], Point | Struct | HoldsPydantic, type(anything)])  # noqa: F821
def test_a_type_without_a_schema_is_the_callers_fault(wanted: Any) -> None:
    with pytest.raises(UsageError, match="has no JSON Schema") as caught:
        output_of_type(wanted)

    assert caught.value.field == "output_type"
    assert "dataclass" in caught.value.hint
