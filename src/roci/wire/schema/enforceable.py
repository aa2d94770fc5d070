"""The one form in which schemas go out to servers, whatever their dialect: what a grammar can hold, without what some
of them stumble over (`$schema`, lists of types, references that lead to the root, missing `additionalProperties`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, cast

import msgspec

from roci.errors import BadRequestError, UsageError
from roci.wire.schema.normalise import GrammarPart, GrammarWriter, SchemaTooLargeError
from roci.wire.schema.tidy import Schema, tidied

PATH: Final = "schema"

_KEPT_SCHEMAS: Final = 128
_UNSENT: Final = ("title", "default", "examples")
"""Words about a schema that no grammar needs; the description stays, for servers that show it to the model."""
_BY_NAME: Final = ("properties", "$defs")


def enforceable(schema: Schema) -> GrammarPart:
    """`schema` as servers are sent it, with the paths of what they will not enforce.

    Raises:
        UsageError: it is no JSON Schema, nothing fits it, or it refers to elsewhere; `.field` is the path of the fault.
    """
    try:
        written = msgspec.json.encode(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"The schema is no JSON: {error}.", field=PATH) from error
    return _enforceable(written)


@lru_cache(_KEPT_SCHEMAS)
def _enforceable(written: bytes) -> GrammarPart:
    writer = GrammarWriter(keeps_words=True)
    schema: Schema = msgspec.json.decode(written)
    try:
        schema = tidied(schema, PATH, keeps_words=True)
        part = writer.with_definitions(writer.write(schema, PATH))
    except BadRequestError as fault:
        raise UsageError(fault.message, field=fault.param or PATH, hint=fault.hint) from fault
    except SchemaTooLargeError:
        # Whether it can make a grammar of this is for the server to say.
        return GrammarPart(_plain(schema), ("the whole, which is very large",))
    return GrammarPart(_plain(part), writer.checked_only)


def _plain(schema: Schema) -> Schema:
    plain: Schema = {}
    for name, value in schema.items():
        if name in _UNSENT:
            continue
        if name in _BY_NAME:
            plain[name] = {key: _plain_value(each) for key, each in cast(Schema, value).items()}
        else:
            plain[name] = value if name in ("const", "enum") else _plain_value(value)
    return plain


def _plain_value(value: Any) -> Any:
    if isinstance(value, dict):
        return _plain(cast(Schema, value))
    if isinstance(value, list):
        return [_plain_value(each) for each in cast("list[Any]", value)]
    return value
