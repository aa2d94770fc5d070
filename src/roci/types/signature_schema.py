"""A function's signature: the JSON Schema that a model is told, and what checks the arguments that it sends.

msgspec makes both; pydantic comes in for the parameters whose types are pydantic's, and is never imported before the
caller has.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final, Union, get_type_hints

import msgspec

from roci.errors import SchemaMismatchError, ToolDefinitionError
from roci.types.hint_parts import add_words, is_pydantic, parts_of, without_words
from roci.types.schema_inlining import inlined

_UNNAMED: Final = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


class BoundArguments(msgspec.Struct, frozen=True):
    """Arguments as a function takes them."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Signature:
    """How a function is called: `schema` for the model, `bind` for what the model sends.

    Args:
        tool: the name that errors give.
        local_names: what the annotations may name besides the function's own globals.
        has_receiver: the first parameter is the `self` or `cls` of a method, which the model does not see.
        strict: take no `"3"` for an int.

    Raises:
        ToolDefinitionError: a parameter has no hint, or none that has a schema; `.parameter`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        tool: str,
        local_names: Mapping[str, Any] | None = None,
        has_receiver: bool = False,
        strict: bool = False,
    ) -> None:
        self._tool = tool
        self._strict = strict
        self._positional: list[str] = []
        self._refuse_null: set[str] = set()
        """Parameters with a default whose types have no None: models send null where they mean nothing."""
        self._adapters: dict[str, Any] = {}
        """The pydantic `TypeAdapter` of each parameter that needs one."""
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        properties: dict[str, dict[str, Any]] = {}
        defaults: dict[str, Any] = {}
        for parameter in _parameters(function, tool, has_receiver):
            hint = _hint(parameter, function, tool, local_names or {})
            hint, properties[parameter.name] = self._described(parameter.name, hint)
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                self._positional.append(parameter.name)
            if parameter.default is inspect.Parameter.empty:
                fields.append((parameter.name, hint))
            else:
                fields.append((parameter.name, Union[hint, msgspec.UnsetType], msgspec.UNSET))  # noqa: UP007 - a value
                defaults[parameter.name] = parameter.default
                if not _takes_null(properties[parameter.name]):
                    self._refuse_null.add(parameter.name)
        self._type: type[msgspec.Struct] = msgspec.defstruct(
            "Arguments", fields, kw_only=True, forbid_unknown_fields=True
        )
        self.schema = _object_schema(properties, defaults)

    def _described(self, name: str, hint: Any) -> tuple[Any, dict[str, Any]]:
        """(The type that msgspec checks, the schema) of one parameter."""
        hint, description = without_words(hint)
        parts = parts_of(hint)
        if any(is_pydantic(part) for part in parts):
            schema = self._pydantic_schema(name, hint)
            hint = Any
        else:
            try:
                schema = msgspec.json.schema(hint)
            except (TypeError, ValueError, NameError, RecursionError) as error:
                raise _no_schema(self._tool, name, hint, error) from error
            add_words(schema, parts)
            if hint is datetime:
                schema["format"] = "date-time"
        schema = inlined(schema)
        if description:
            schema = {"description": description, **schema}
        return hint, schema

    def _pydantic_schema(self, name: str, hint: Any) -> dict[str, Any]:
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticUserError

        try:
            self._adapters[name] = adapter = TypeAdapter[Any](hint)
            return adapter.json_schema()
        except (PydanticUserError, TypeError, NameError) as error:
            raise _no_schema(self._tool, name, hint, error) from error

    def bind(self, arguments: dict[str, Any]) -> BoundArguments:
        """`arguments` as the types that the function wants; what was left out is left to the function's own defaults.

        Raises:
            SchemaMismatchError: they do not fit; `.json_path` says where.
        """
        try:
            checked = self._converted(arguments)
        except msgspec.ValidationError as error:
            what, _, path = str(error).partition(" - at `")
            raise self._mismatch(arguments, what, path.rstrip("`") or "$") from error
        values = {name: getattr(checked, name) for name in checked.__struct_fields__}
        kwargs = {name: value for name, value in values.items() if value is not msgspec.UNSET}
        for name in self._adapters.keys() & kwargs.keys():
            kwargs[name] = self._validated(arguments, name, kwargs[name])
        args: list[Any] = []
        for name in self._positional:
            if name not in kwargs:
                break
            args.append(kwargs.pop(name))
        return BoundArguments(tuple(args), kwargs)

    def _converted(self, arguments: dict[str, Any]) -> msgspec.Struct:
        try:
            return msgspec.convert(arguments, self._type)
        except msgspec.ValidationError:
            if self._strict:
                raise
            # Only now: what is right by the letter is never reinterpreted.
            given = {
                name: value for name, value in arguments.items() if value is not None or name not in self._refuse_null
            }
            return msgspec.convert(given, self._type, strict=False)

    def _validated(self, arguments: dict[str, Any], name: str, value: Any) -> Any:
        from pydantic import ValidationError

        try:
            return self._adapters[name].validate_json(msgspec.json.encode(value), strict=self._strict or None)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in (name, *first["loc"]))
            raise self._mismatch(arguments, first["msg"], f"${path}") from error

    def _mismatch(self, arguments: dict[str, Any], what: str, path: str) -> SchemaMismatchError:
        return SchemaMismatchError(
            f"The arguments of {self._tool!r} do not fit: {what}{'' if path == '$' else f' at {path}'}.",
            text=msgspec.json.encode(arguments).decode(),
            json_path=path,
        )


def _parameters(function: Callable[..., Any], tool: str, has_receiver: bool) -> list[inspect.Parameter]:
    """The parameters that a model is to fill in."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ToolDefinitionError(
            f"{function!r} does not tell its parameters.",
            tool=tool,
            hint="Write a function around it, with a type hint for each parameter.",
        ) from error
    if has_receiver:
        parameters = parameters[1:]
    if isinstance(function, functools.partial):
        # What a partial has filled in by name is settled, and none of the model's business.
        parameters = [parameter for parameter in parameters if parameter.name not in function.keywords]
    for parameter in parameters:
        stars = _UNNAMED.get(parameter.kind)
        if stars:
            raise ToolDefinitionError(
                f"The parameter {stars}{parameter.name} of tool {tool!r} has no schema: its names are open.",
                tool=tool,
                parameter=parameter.name,
                hint="Give each argument a parameter of its own, or take one dict or list.",
            )
    return parameters


def _hint(parameter: inspect.Parameter, function: Callable[..., Any], tool: str, local_names: Mapping[str, Any]) -> Any:
    name, annotation = parameter.name, parameter.annotation
    if annotation is inspect.Parameter.empty:
        raise ToolDefinitionError(
            f"The parameter {name!r} of tool {tool!r} has no type hint.",
            tool=tool,
            parameter=name,
            hint=f"Write, for instance, `{name}: str`.",
        )
    if type(parameter.default).__name__ == "FieldInfo":
        raise ToolDefinitionError(
            f"The parameter {name!r} of tool {tool!r} has a pydantic Field as its default.",
            tool=tool,
            parameter=name,
            hint=f"Write `{name}: Annotated[…, Field(…)]`, and the default behind it.",
        )
    source = inspect.unwrap(_plain_function(function))
    cells = dict(zip(source.__code__.co_freevars, source.__closure__ or (), strict=False))
    closure = {cell: holder.cell_contents for cell, holder in cells.items() if _is_filled(holder)}
    try:
        return get_type_hints(
            SimpleNamespace(__annotations__={name: annotation}),
            globalns=source.__globals__,
            localns={**local_names, **closure},
            include_extras=True,
        )[name]
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise _no_schema(tool, name, annotation, error) from error


def _plain_function(function: Callable[..., Any]) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        function = type(function).__call__
    return getattr(function, "__func__", function)


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _no_schema(tool: str, parameter: str, hint: Any, error: Exception) -> ToolDefinitionError:
    why = str(error).splitlines()[-1] if str(error) else type(error).__name__
    shown = hint if isinstance(hint, str) else getattr(hint, "__name__", None) or repr(hint)
    return ToolDefinitionError(
        f"The parameter {parameter!r} of tool {tool!r} has the type {shown}, which has no JSON Schema: {why}",
        tool=tool,
        parameter=parameter,
        hint="Use plain types, lists and dicts of them, enums, Literal, dataclasses, TypedDicts, msgspec Structs or "
        "pydantic models.",
    )


def _takes_null(schema: Mapping[str, Any]) -> bool:
    kinds = [schema, *schema.get("anyOf", ())]
    return not schema or any(kind.get("type") == "null" or None in kind.get("enum", ()) for kind in kinds)


def _object_schema(properties: dict[str, dict[str, Any]], defaults: Mapping[str, Any]) -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    for name, schema in properties.items():
        definitions |= schema.pop("$defs", {})
        if name in defaults:
            try:
                schema["default"] = msgspec.json.decode(msgspec.json.encode(defaults[name], enc_hook=_model_json))
            except (TypeError, ValueError, RecursionError):
                # A sentinel: the function knows what it means, the model only that it may leave it out.
                continue
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    required = [name for name in properties if name not in defaults]
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    return schema | {"$defs": definitions} if definitions else schema


def _model_json(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON form")
