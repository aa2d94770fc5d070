"""An answer against the whole of its schema. The one importer of jsonschema-rs."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from roci.wire.openai.request_faults import invalid
from roci.wire.schema.tidy import Schema, at

_TEXT_LIMIT: Final = 300


class SchemaChecker:
    """Made of a tidied schema; nothing is ever fetched or read for it.

    Raises:
        BadRequestError: the schema cannot be checked, an invalid `pattern` for instance; `.param` is the path.
    """

    def __init__(self, schema: Schema, path: str) -> None:
        import jsonschema_rs

        try:
            # Offline: a reference to a file or an address would be a way into this machine.
            self._validator = jsonschema_rs.validator_for(schema, offline=True, validate_formats=True)
        except jsonschema_rs.ValidationError as error:
            place = at(path, *error.instance_path)
            raise invalid(f"{place} cannot be used in a schema: {error.message[:_TEXT_LIMIT]}.", place) from error
        except ValueError as error:
            raise invalid(f"{path} cannot be used: {str(error)[:_TEXT_LIMIT]}.", path) from error

    def fault(self, text: str) -> str | None:
        """What of the answer does not fit, with its path; None where all does."""
        try:
            value: Any = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return f"it is not JSON: {error}"
        found = self.fault_of(value)
        return None if found is None else f"{found[0]}: {found[1]}"

    def fault_of(self, value: Any) -> tuple[str, str] | None:
        """The path and the words of what of a decoded answer does not fit; None where all does."""
        error = next(iter(self._validator.iter_errors(value)), None)
        return None if error is None else (at("$", *error.instance_path), error.message[:_TEXT_LIMIT])
