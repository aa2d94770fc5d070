"""Tools that roci can run: a function, and what a model is told of it."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MethodType
from typing import Any, Final, Generic, Literal, ParamSpec, TypeVar, overload

import msgspec

from roci.errors import SchemaMismatchError, ToolDefinitionError
from roci.types.signature_schema import BoundArguments, Signature
from roci.types.tools import ToolCall, ToolDefinition

P = ParamSpec("P")
R = TypeVar("R")

TIMEOUT_S: Final = 60.0
RESULT_LIMIT_CHARS: Final = 200_000
_SECTIONS: Final = re.compile(r"^\s*(?:[A-Z]\w+:\s*$|-{3,}\s*$|[:@]\w+)", re.MULTILINE)
"""What a docstring with sections has: `Args:` of Google's form, NumPy's underlines, `:param` or `@param`."""


class Tool(ToolDefinition, Generic[P, R], frozen=True, kw_only=True, omit_defaults=True):
    """A tool that roci runs when the model calls it. Make it with `@tool`; call it as the function that it is.

    By hand, `Tool(name=…, function=…)` reads the function's signature too; with `parameters` given, those are told to
    the model, and the arguments go to the function by name as they come.

    Raises:
        ToolDefinitionError: the name is no tool's name, or the signature has no schema; `.parameter`.
    """

    function: Callable[P, R]
    """Sync or async. What it returns goes to the model: text as it is, `TextPart` and `ImagePart` as parts, anything
    else as JSON."""
    timeout_s: float | None = TIMEOUT_S
    """Seconds until the model is told that the tool did not answer. A sync function runs in a thread of its own for
    that, and goes on there past its time-out. None: no limit, and a sync function runs in the thread that calls
    `generate_text`."""
    strict: bool = False
    """Take arguments of exactly the hinted types. Else `"3"` does for an int, and null for a parameter left out."""
    result_limit_chars: int = RESULT_LIMIT_CHARS
    """Longer results are cut there, with a mark that says so."""
    receiver: Literal["", "self", "cls"] = ""
    """What a method's function wants before the model's arguments. It is settled, and empty, once the tool is taken
    from an instance or a class."""
    signature: Signature | None = None
    """None where `parameters` were given by hand."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.timeout_s is not None and not (self.timeout_s > 0 and math.isfinite(self.timeout_s)):
            raise ToolDefinitionError(
                f"timeout_s of tool {self.name!r} is {self.timeout_s!r}; it takes seconds above 0, or None.",
                tool=self.name,
                parameter="timeout_s",
            )
        if not callable(self.function):
            raise ToolDefinitionError(f"The function of tool {self.name!r} cannot be called.", tool=self.name)
        if self.signature is None and not self.parameters:
            signature = Signature(self.function, tool=self.name, strict=self.strict)
            msgspec.structs.force_setattr(self, "signature", signature)
            msgspec.structs.force_setattr(self, "parameters", signature.schema)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Tool[..., R]:
        """A method's tool, bound to the object, or the class, that it is taken from."""
        receiver = owner if self.receiver == "cls" else instance
        if not self.receiver or receiver is None:
            return self
        function: Any = MethodType(self.function, receiver)
        return msgspec.structs.replace(self, function=function, receiver="")

    @property
    def __wrapped__(self) -> Callable[P, R]:
        return self.function

    @property
    def __name__(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - an instance's own
        return getattr(self.function, "__name__", self.name)

    def bind(self, call: ToolCall) -> BoundArguments:
        """The arguments of `call`, as the function takes them.

        Raises:
            SchemaMismatchError: they do not fit the function.
        """
        text = call.arguments_json.strip()
        arguments = {} if text in ("", "null") else call.arguments
        if self.signature is not None:
            return self.signature.bind(arguments)
        try:
            inspect.signature(self.function).bind(**arguments)
        except TypeError as error:
            raise SchemaMismatchError(
                f"The arguments of {self.name!r} do not fit: {error}.", text=call.arguments_json
            ) from error
        except ValueError:
            # A builtin that does not tell its parameters finds out by itself.
            return BoundArguments((), arguments)
        return BoundArguments((), arguments)


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = TIMEOUT_S,
    strict: bool = False,
    result_limit_chars: int = RESULT_LIMIT_CHARS,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = TIMEOUT_S,
    strict: bool = False,
    result_limit_chars: int = RESULT_LIMIT_CHARS,
) -> Any:
    """A function as a tool for models, from its type hints, defaults and docstring; it stays callable.

        @tool
        def weather(city: str, days: Annotated[int, "From 1 to 7."] = 1) -> str:
            "The weather forecast of a city."

    Hints may be plain types, lists, dicts, tuples and sets of them, Optional and unions, Literal, enums, dates, UUID,
    Decimal, dataclasses, TypedDicts, msgspec Structs, and pydantic models. A description is what `Annotated` says,
    else what the docstring says of the parameter. Methods work when they are taken from an instance.

    Args:
        name: for the model; the function's own where None.
        description: for the model; the docstring's where None.
        timeout_s: seconds that a call may take; see `Tool.timeout_s`.
        strict: take arguments of exactly the hinted types.
        result_limit_chars: characters of a result at most; the rest is cut, with a mark.

    Raises:
        ToolDefinitionError: a parameter has no hint, or none that has a schema; `.parameter`.
    """
    make = partial(
        _made,
        local_names=_names_of_caller(),
        name=name,
        description=description,
        options={"timeout_s": timeout_s, "strict": strict, "result_limit_chars": result_limit_chars},
    )
    return make if function is None else make(function)


def as_tool(given: ToolDefinition | Callable[..., Any]) -> ToolDefinition:
    """`given` as it is where it is a definition or a tool; a function as a tool.

    Raises:
        ToolDefinitionError: the function's signature has no schema.
    """
    return given if isinstance(given, ToolDefinition) or not callable(given) else tool(given)


def _made(
    function: Any,
    *,
    local_names: Mapping[str, Any],
    name: str | None,
    description: str | None,
    options: dict[str, Any],
) -> Tool[..., Any]:
    if _is(function, staticmethod):
        function = function.__func__
    is_classmethod = _is(function, classmethod)
    plain: Any = function.__func__ if is_classmethod else function.func if _is(function, partial) else function
    named = name or str(getattr(plain, "__name__", type(plain).__name__))
    if _is(plain, type) or _is(plain, ToolDefinition) or not callable(plain):
        raise ToolDefinitionError(
            f"{named!r} is not a function.", tool=named, hint="Write a function that does what the model asks for."
        )
    function = plain if is_classmethod else function
    receiver = "cls" if is_classmethod else "self" if _is_method(function) else ""
    signature = Signature(
        function,
        tool=named,
        local_names=local_names,
        has_receiver=bool(receiver),
        strict=options["strict"],
    )
    about, words = _documented(plain)
    for parameter, schema in signature.schema["properties"].items():
        if parameter in words and "description" not in schema:
            schema["description"] = words[parameter]
    return Tool(
        name=named,
        description=about if description is None else description,
        parameters=signature.schema,
        function=function,
        receiver=receiver,
        signature=signature,
        **options,
    )


def _is(value: Any, kind: type) -> bool:
    """`isinstance` that leaves `value` of any type to the type checker: what these kinds hold, it does not know."""
    return isinstance(value, kind)


def _names_of_caller() -> Mapping[str, Any]:
    """The local names where `tool` is used: annotations that are text may name them."""
    frame = inspect.currentframe()
    here = frame.f_back if frame is not None else None
    there = here.f_back if here is not None else None
    return there.f_locals if there is not None else {}


def _is_method(function: Any) -> bool:
    """A function written in a class: its first parameter is a `self` or `cls` without a hint."""
    if not inspect.isfunction(function):
        return False
    names = list(inspect.signature(function).parameters.values())
    return bool(names) and names[0].name in ("self", "cls") and names[0].annotation is inspect.Parameter.empty


def _documented(function: Any) -> tuple[str, dict[str, str]]:
    """(What a docstring says of the function, what it says of each parameter)."""
    if not inspect.isroutine(function):
        function = type(function).__call__
    text = inspect.getdoc(function) or ""
    if not _SECTIONS.search(text):
        return text.strip(), {}
    from docstring_parser import ParseError, parse

    try:
        parsed = parse(text)
    except ParseError:
        return text.strip(), {}
    words = {entry.arg_name: entry.description or "" for entry in parsed.params}
    return (parsed.description or "").strip(), {name.lstrip("*"): said for name, said in words.items() if said}
