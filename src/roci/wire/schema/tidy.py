"""A client's schema as roci takes it: its shape checked with paths, its dialects brought to one, nothing fetched.

Source: JSON Schema 2020-12; OpenAPI 3.0's `nullable`; draft 4's boolean `exclusiveMinimum`; draft 7's list of `items`.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias, cast

import msgspec

from roci.errors import BadRequestError
from roci.wire.openai.request_faults import invalid

Schema: TypeAlias = dict[str, Any]

SIZE_LIMIT_BYTES: Final = 512 * 1024
DEPTH_LIMIT: Final = 64
TYPES: Final = ("object", "array", "string", "integer", "number", "boolean", "null")

# Keyword -> what it holds.
_SCHEMAS_BY_NAME: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_SCHEMA_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_SCHEMAS: Final = (
    "additionalProperties",
    "items",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
)
_COUNTS: Final = (
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
)
_NUMBERS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_TEXTS: Final = ("pattern", "format")
_WORDS: Final = ("title", "description", "default", "examples")
"""What only a reader looks at, a model among them."""


def tidied(schema: object, path: str, *, keeps_words: bool = False) -> Schema:
    """A copy of `schema` without what has no effect.

    Args:
        path: where it stands in the request, for errors.
        keeps_words: leave titles, descriptions, defaults and examples in.

    Raises:
        BadRequestError: `.param` is the path of what is wrong: a wrong type, a reference to elsewhere or to nothing.
    """
    if not isinstance(schema, dict):
        raise invalid(f"{path} is no JSON schema: it takes an object.", path)
    _check_size(cast(Schema, schema), path)
    tidy = _Tidier(keeps_words).tidied(cast(Schema, schema), path, 0)
    _check_references(tidy, tidy, path)
    return tidy


def resolve(root: Schema, reference: str) -> Schema | None:
    """What a reference such as `#/$defs/Node` names; None where there is nothing."""
    found: Any = root
    if not reference.startswith("#"):
        return None
    for step in reference.removeprefix("#").split("/")[1:]:
        name = _unquoted(step)
        if isinstance(found, dict) and name in found:
            found = cast(Schema, found)[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(cast("list[Any]", found)):
            found = cast("list[Any]", found)[int(name)]
        else:
            return None
    return cast(Schema, found) if isinstance(found, dict) else None


def at(path: str, *steps: str | int) -> str:
    """`path` and steps from it, as error messages write them."""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path


def _check_size(schema: Schema, path: str) -> None:
    try:
        size = len(msgspec.json.encode(schema))
    except (TypeError, ValueError, RecursionError) as error:
        raise invalid(f"{path} is no JSON: {error}.", path) from error
    if size > SIZE_LIMIT_BYTES:
        raise invalid(
            f"{path} has {size:,} bytes; a schema may have {SIZE_LIMIT_BYTES:,}.", path, code="schema_too_large"
        )


class _Tidier:
    def __init__(self, keeps_words: bool) -> None:
        self._keeps_words = keeps_words

    def tidied(self, schema: Schema, path: str, depth: int) -> Schema:
        if depth > DEPTH_LIMIT:
            raise invalid(f"{path} is nested more than {DEPTH_LIMIT} deep.", path, code="schema_too_large")
        tidy: Schema = {}
        for name, value in _one_dialect(schema).items():
            kept = self._keyword(name, value, at(path, name), depth + 1)
            if kept is not None:
                tidy[name] = kept[0]
        return _with_null(tidy) if schema.get("nullable") is True else tidy

    def _keyword(self, name: str, value: Any, path: str, depth: int) -> tuple[Any] | None:
        """The keyword's value, tidied; None where the keyword says nothing."""
        if name in _SCHEMAS_BY_NAME:
            named = _expect(value, dict, "an object of schemas", path)
            return ({key: self._schema(one, at(path, key), depth) for key, one in named.items()},)
        if name in _SCHEMA_LISTS:
            listed = _expect(value, list, "a list of schemas", path)
            if not listed:
                raise invalid(f"{path} is empty; it takes at least one schema.", path)
            return ([self._schema(one, at(path, place), depth) for place, one in enumerate(listed)],)
        if name in _SCHEMAS:
            return (self._schema(value, path, depth),)
        if name in _WORDS:
            return (value,) if self._keeps_words else None
        return (value,) if _is_understood(name, value, path) else None

    def _schema(self, value: Any, path: str, depth: int) -> Schema | bool:
        if isinstance(value, bool):
            return value
        return self.tidied(_expect(value, dict, "a schema", path), path, depth)


def _one_dialect(schema: Schema) -> Schema:
    """Older spellings in today's."""
    changed = dict(schema)
    if isinstance(changed.get("items"), list):
        changed["prefixItems"] = changed.pop("items")
        if "additionalItems" in changed:
            changed["items"] = changed.pop("additionalItems")
        if not changed["prefixItems"]:
            del changed["prefixItems"]
    for name, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if changed.get(name) is True and plain in changed:
            changed[name] = changed.pop(plain)
        elif isinstance(changed.get(name), bool):
            del changed[name]
    return changed


def _with_null(schema: Schema) -> Schema:
    """OpenAPI's `nullable`."""
    if "enum" in schema and None not in schema["enum"]:
        schema = schema | {"enum": [*schema["enum"], None]}
    kinds = schema.get("type")
    if kinds is None:
        return schema if "enum" in schema else {"anyOf": [schema, {"type": "null"}]}
    listed = cast("list[str]", kinds if isinstance(kinds, list) else [kinds])
    return schema if "null" in listed else schema | {"type": [*listed, "null"]}


def _is_understood(name: str, value: Any, path: str) -> bool:
    """Whether the keyword has an effect; what it holds is checked."""
    if name in _COUNTS:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise _wrong(value, "a whole number from 0", path)
    elif name in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(value, "a number", path)
    elif name == "multipleOf":
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise _wrong(value, "a number above 0", path)
    elif name in _TEXTS:
        _expect(value, str, "a text", path)
    elif name == "type":
        _check_type(value, path)
    elif name == "required":
        _check_texts(value, path)
    elif name == "enum":
        if not _expect(value, list, "a list of values", path):
            raise invalid(f"{path} is empty; it takes at least one value.", path)
    elif name == "dependentRequired":
        for key, names in _expect(value, dict, "an object of lists", path).items():
            _check_texts(names, at(path, key))
    elif name == "uniqueItems":
        return _expect(value, bool, "true or false", path)
    elif name == "$ref":
        _check_reference(value, path)
    else:
        return name == "const"
    return True


def _check_type(value: Any, path: str) -> None:
    kinds: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    for kind in kinds:
        if kind not in TYPES:
            raise _wrong(kind, ", ".join(TYPES), path)
    if not kinds:
        raise invalid(f"{path} is empty; it takes at least one type.", path)


def _check_texts(value: Any, path: str) -> None:
    for place, name in enumerate(_expect(value, list, "a list of names", path)):
        _expect(name, str, "a text", at(path, place))


def _check_reference(value: Any, path: str) -> None:
    _expect(value, str, "a text", path)
    if value != "#" and not value.startswith("#/"):
        raise invalid(
            f"{path} is {value[:200]!r}; only references into the same schema are followed, such as '#/$defs/Name'.",
            path,
        )


def _check_references(schema: Any, root: Schema, path: str) -> None:
    if isinstance(schema, bool):
        return
    reference = schema.get("$ref")
    if reference is not None and resolve(root, reference) is None:
        place = at(path, "$ref")
        raise invalid(f"{place} is {reference[:200]!r}, which is not in the schema.", place)
    for name, value in schema.items():
        if name in _SCHEMAS_BY_NAME:
            for key, one in value.items():
                _check_references(one, root, at(path, name, key))
        elif name in _SCHEMA_LISTS:
            for place, one in enumerate(value):
                _check_references(one, root, at(path, name, place))
        elif name in _SCHEMAS:
            _check_references(value, root, at(path, name))


def _expect(value: Any, kind: type[Any], words: str, path: str) -> Any:
    if not isinstance(value, kind):
        raise _wrong(value, words, path)
    return value


def _wrong(value: Any, words: str, path: str) -> BadRequestError:
    told = msgspec.json.encode(value).decode()
    return invalid(f"{path} is {told[:80]}; it takes {words}.", path)


def _unquoted(step: str) -> str:
    plain = re.sub(r"%([0-9A-Fa-f]{2})", lambda code: chr(int(code[1], 16)), step)
    return plain.replace("~1", "/").replace("~0", "~")
