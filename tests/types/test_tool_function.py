"""`@tool`: what a model is told of a function, and what the function gets of what the model sends."""

from __future__ import annotations

import datetime as dt
import enum
import functools
import inspect
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional, TypedDict

import msgspec
import pydantic
import pytest

import roci
from roci import Tool, ToolCall, ToolDefinitionError, tool


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Place:
    city: Annotated[str, "Its English name."]
    tags: list[str] = field(default_factory=list)


class Range(TypedDict, total=False):
    low: int
    high: int


class Point(msgspec.Struct):
    x: float
    y: float = 0.0


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(description="The full name.")
    age: int = pydantic.Field(ge=0)


@dataclass
class Node:
    value: int
    children: list[Node] = field(default_factory=list)


def schema_of(function: Callable[..., Any]) -> dict[str, Any]:
    return tool(function).parameters


def bound(made: Tool[..., Any], arguments_json: str) -> dict[str, Any]:
    return made.bind(ToolCall(id="1", name=made.name, arguments_json=arguments_json)).kwargs


def test_a_function_becomes_a_tool_and_stays_callable() -> None:
    @tool
    def weather(city: str, days: Annotated[int, "From 1 to 7."] = 1, unit: Literal["C", "F"] = "C") -> str:
        """The weather forecast.

        For any city.

        Args:
            city: Its name
                in English.
            days: how long (this loses to the hint's own words)
        """
        return f"{city}: {days} {unit}"

    assert weather("Bern", days=2) == "Bern: 2 C"
    assert (weather.name, weather.description) == ("weather", "The weather forecast.\n\nFor any city.")
    assert weather.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Its name\nin English."},
            "days": {"type": "integer", "description": "From 1 to 7.", "default": 1},
            "unit": {"enum": ["C", "F"], "default": "C"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert list(inspect.signature(weather).parameters) == ["city", "days", "unit"]
    assert weather.__name__ == "weather"


@pytest.mark.parametrize(
    "docstring",
    ["Adds.\n\n:param a: The first.\n:type a: int", "Adds.\n\nParameters\n----------\na : int\n    The first."]
    + ["Adds.\n\nArgs:\n    a (int): The first.", "Adds.\n\n@param a: The first."],
    ids=["reST", "NumPy", "Google", "Epydoc"],
)
def test_docstrings_of_every_style_describe_parameters(docstring: str) -> None:
    def add(a: int) -> int:
        return a

    add.__doc__ = docstring
    made = tool(add)

    assert made.description == "Adds."
    assert made.parameters["properties"]["a"]["description"] == "The first."


def test_a_tool_may_be_named_and_described_by_hand() -> None:
    @tool(name="get.weather", description="Sky.", timeout_s=None, strict=True)
    def weather(city: str) -> str:
        """Not told."""
        return city

    assert (weather.name, weather.description, weather.timeout_s, weather.strict) == ("get.weather", "Sky.", None, True)
    with pytest.raises(roci.SchemaMismatchError):
        bound(tool(strict=True)(_count), '{"n": "3"}')


def _count(n: int) -> int:
    return n


@pytest.mark.parametrize(
    ("hint", "schema", "sent", "value"),
    [
        (str, {"type": "string"}, '"a"', "a"),
        (bool, {"type": "boolean"}, "true", True),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "null", None),  # noqa: UP045 - what people write
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}, '"3"', "3"),
        (Literal["b", "a"], {"enum": ["a", "b"]}, '"b"', "b"),
        (Colour, {"enum": ["blue", "red"]}, '"red"', Colour.RED),
        (list[int], {"type": "array", "items": {"type": "integer"}}, "[1]", [1]),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}, '{"a": 1}', {"a": 1.0}),
        (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}, '["a"]', {"a"}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}, "[1, 2]", (1, 2)),
        (
            Place,
            {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Its English name."},
                    "tags": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["city"],
            },
            '{"city": "Bern"}',
            Place("Bern"),
        ),
        (
            Range,
            {"type": "object", "properties": {"high": {"type": "integer"}, "low": {"type": "integer"}}, "required": []},
            '{"low": 1}',
            {"low": 1},
        ),
        (
            Point,
            {
                "type": "object",
                "properties": {"x": {"type": "number"}, "y": {"type": "number", "default": 0.0}},
                "required": ["x"],
            },
            '{"x": 1}',
            Point(1.0),
        ),
        (
            Person,
            {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "description": "The full name."},
                    "age": {"type": "integer", "minimum": 0},
                },
                "required": ["name", "age"],
            },
            '{"name": "Ada", "age": "36"}',
            Person(name="Ada", age=36),
        ),
        (
            Annotated[int, msgspec.Meta(ge=1, description="Pages.")],
            {"type": "integer", "minimum": 1, "description": "Pages."},
            "2",
            2,
        ),
        (Annotated[int, pydantic.Field(ge=1)], {"type": "integer", "minimum": 1}, "2", 2),
        (list[Person], None, '[{"name": "Ada", "age": 1}]', [Person(name="Ada", age=1)]),
        (dt.date, {"type": "string", "format": "date"}, '"2026-01-02"', dt.date(2026, 1, 2)),
        (
            dt.datetime,
            {"type": "string", "format": "date-time"},
            '"2026-01-02T03:04:05"',
            dt.datetime(2026, 1, 2, 3, 4, 5),
        ),
        (uuid.UUID, {"type": "string", "format": "uuid"}, f'"{uuid.UUID(int=1)}"', uuid.UUID(int=1)),
        (Decimal, {"type": "string", "format": "decimal"}, '"1.10"', Decimal("1.10")),
        (bytes, {"type": "string", "contentEncoding": "base64"}, '"aGk="', b"hi"),
        (Any, {}, "[null]", [None]),
    ],
    ids=str,
)
def test_a_hint_makes_a_schema_and_reads_what_fits_it(hint: Any, schema: Any, sent: str, value: Any) -> None:
    def function(given: Any) -> None: ...

    function.__annotations__["given"] = hint
    made = tool(function)

    if schema is not None:
        assert made.parameters["properties"]["given"] == schema
    assert bound(made, f'{{"given": {sent}}}') == {"given": value}


def test_a_type_that_contains_itself_keeps_its_reference() -> None:
    def walk(tree: Node) -> None: ...

    schema = schema_of(walk)

    assert schema["properties"]["tree"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert schema["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert bound(tool(walk), '{"tree": {"value": 1, "children": [{"value": 2}]}}') == {"tree": Node(1, [Node(2)])}


def test_types_that_use_each_other_many_times_do_not_grow_without_bound() -> None:
    leaf: Any = Point
    for level in range(20):
        leaf = msgspec.defstruct(f"Level{level}", [("left", leaf), ("right", leaf)])

    def deep(tree: Any) -> None: ...

    deep.__annotations__["tree"] = leaf

    assert len(msgspec.json.encode(schema_of(deep))) < 20_000


def test_names_that_are_local_to_a_function_are_found() -> None:
    class Local(TypedDict):
        n: int

    @tool
    def use(local: Local) -> int:
        return local["n"]

    assert use.parameters["properties"]["local"]["properties"] == {"n": {"type": "integer"}}


def no_hint(city) -> None: ...  # type: ignore[no-untyped-def]
def any_count(*cities: str) -> None: ...
def any_name(**options: int) -> None: ...
def callback(then: Callable[[int], int]) -> None: ...
def unknown(thing: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def custom(thing: object) -> None: ...
def a_field(n: int = pydantic.Field(default=1)) -> None: ...


@pytest.mark.parametrize(
    ("function", "parameter", "word"),
    [
        (no_hint, "city", "no type hint"),
        (any_count, "cities", r"\*cities"),
        (any_name, "options", r"\*\*options"),
        (callback, "then", "Callable"),
        (unknown, "thing", "'Nowhere' is not defined"),
        (custom, "thing", "object"),
        (a_field, "n", "pydantic Field as its default"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_signature_without_a_schema_names_the_parameter(
    function: Callable[..., Any], parameter: str, word: str
) -> None:
    with pytest.raises(ToolDefinitionError, match=word) as caught:
        tool(function)

    assert (caught.value.parameter, caught.value.tool) == (parameter, function.__name__)
    assert caught.value.field == f"tools.{function.__name__}.{parameter}"


@pytest.mark.parametrize("thing", [3, Place, "weather", tool(_count)], ids=repr)
def test_only_functions_become_tools(thing: Any) -> None:
    with pytest.raises(ToolDefinitionError):
        tool(thing)


@pytest.mark.parametrize("timeout_s", [0, -1, float("inf")])
def test_a_time_out_is_a_number_of_seconds(timeout_s: float) -> None:
    with pytest.raises(ToolDefinitionError) as caught:
        tool(timeout_s=timeout_s)(_count)

    assert caught.value.parameter == "timeout_s"


def test_lambdas_need_a_name() -> None:
    with pytest.raises(ToolDefinitionError, match="lambda"):
        tool(lambda: 1)

    assert tool(name="one")(lambda: 1).parameters["properties"] == {}


class Shop:
    def __init__(self, stock: int) -> None:
        self.stock = stock

    @tool
    def buy(self, count: int) -> int:
        """Buys."""
        return self.stock - count

    @tool
    @classmethod
    def kind(cls, suffix: str) -> str:
        return cls.__name__ + suffix

    @tool
    @staticmethod
    def add(a: int, b: int) -> int:
        return a + b


def test_a_method_is_a_tool_of_the_object_it_is_taken_from() -> None:
    shop = Shop(5)

    assert list(shop.buy.parameters["properties"]) == ["count"]
    assert (shop.buy(2), Shop.kind("!"), shop.kind("?"), Shop.add(1, b=2)) == (3, "Shop!", "Shop?", 3)
    assert tool(shop.buy.function).parameters == shop.buy.parameters
    with pytest.raises(ToolDefinitionError, match="without its object") as caught:
        roci.generate_text("lmstudio:m", "hi", tools=[Shop.buy])
    assert "thing.method" in caught.value.hint


def test_what_a_partial_has_filled_in_is_not_the_models_to_choose() -> None:
    def search(query: str, limit: int, *, user: str) -> None:
        """Finds."""

    made = tool(functools.partial(search, user="ada", limit=3))

    assert (made.name, made.description, list(made.parameters["properties"])) == ("search", "Finds.", ["query"])


def test_a_wrapped_function_keeps_its_own_signature() -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return inner

    @tool
    @logged
    def add(a: int, b: int = 1) -> int:
        return a + b

    assert list(add.parameters["properties"]) == ["a", "b"]
    assert add(1) == 2


def test_positional_only_parameters_are_filled_in_by_place() -> None:
    @tool
    def power(base: int, exponent: int = 2, /) -> int:
        return base**exponent

    given = power.bind(ToolCall(id="1", name="power", arguments_json='{"base": 3}'))

    assert (given.args, given.kwargs) == ((3,), {})


def test_defaults_that_json_cannot_say_are_left_to_the_function() -> None:
    missing = object()

    @tool
    def find(query: str, default: str = missing) -> str:  # type: ignore[assignment]
        return "nothing" if default is missing else default

    assert find.parameters["properties"]["default"] == {"type": "string"}
    assert bound(find, '{"query": "x"}') == {"query": "x"}


@pytest.mark.parametrize(
    ("sent", "kwargs"),
    [
        ('{"n": "3"}', {"n": 3}),
        ('{"n": 3, "flag": null}', {"n": 3}),
        ('{"n": 3, "flag": "true"}', {"n": 3, "flag": True}),
    ]
    + [('{"n": 3.0}', {"n": 3})],
)
def test_arguments_that_are_nearly_right_are_taken(sent: str, kwargs: dict[str, Any]) -> None:
    @tool
    def count(n: int, flag: bool = False) -> None: ...

    assert bound(count, sent) == kwargs


@pytest.mark.parametrize(
    ("sent", "word", "path"),
    [
        ("{}", "missing required field `people`", "$"),
        ('{"people": [{"name": "Ada", "age": -1}]}', "greater than or equal to 0", "$.people[0].age"),
        ('{"people": [], "n": "x"}', "Expected `int`", "$.n"),
        ('{"people": [], "m": 1}', "unknown field `m`", "$"),
        ("[1]", "no JSON object", "$"),
        ('{"people": [', "no JSON object", "$"),
    ],
)
def test_arguments_that_do_not_fit_say_where(sent: str, word: str, path: str) -> None:
    @tool
    def meet(people: list[Person], n: int = 0) -> None: ...

    with pytest.raises(roci.SchemaMismatchError, match=word) as caught:
        bound(meet, sent)

    assert caught.value.json_path == path


@pytest.mark.parametrize("sent", ["", "null", "{}", " {} "])
def test_no_arguments_may_come_in_several_ways(sent: str) -> None:
    def now() -> str:
        return "noon"

    assert bound(tool(now), sent) == {}


def test_a_tool_by_hand_takes_its_own_schema_or_the_functions() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}

    given = Tool(name="count", function=_count, parameters=schema)
    read = Tool(name="count", function=_count)

    assert (given.parameters, bound(given, '{"n": "kept as it is"}')) == (schema, {"n": "kept as it is"})
    assert read.parameters["required"] == ["n"]
    with pytest.raises(roci.SchemaMismatchError, match="unexpected keyword"):
        bound(given, '{"n": 1, "m": 1}')


def test_tools_need_neither_pydantic_nor_a_docstring_reader_before_they_are_needed() -> None:
    script = (
        "import sys, roci\n"
        "@roci.tool\n"
        "def add(a: int, b: int) -> int:\n"
        "    'Adds two numbers.'\n"
        "    return a + b\n"
        "print(add.description, [name for name in ('pydantic', 'docstring_parser') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "Adds two numbers. []"
