"""Bodies of `/api/v1`, which takes no field that it does not know; faults are told as LM Studio tells them.

Source: replies of LM Studio 0.4.25 in public issue threads; the fields are in its REST reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from roci.errors import BadRequestError
from roci.wire.openai.request_faults import invalid, json_fault, validation_fault

T = TypeVar("T", bound=msgspec.Struct)

_raw_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NAMES_SHOWN: Final = 20
_NAME_CHARS: Final = 100


def decode_strict(body: bytes, decoder: msgspec.json.Decoder[T], choices: Mapping[str, tuple[str, ...]]) -> T:
    """The request in `body`.

    Args:
        decoder: of a Struct.
        choices: a field's path without positions -> the values that it takes, for the message.

    Raises:
        BadRequestError: `code` is `unrecognized_keys` with all of them in the message, `missing_required_parameter`,
            or another; `param` is the field's path.
    """
    if not body.strip():
        raise invalid("The request has no body; it takes a JSON object.", code="empty_body")
    try:
        body.decode()  # the decoder does not look into the fields that it skips
        fields = _raw_decoder.decode(body)
        unknown = fields.keys() - set(decoder.type.__struct_encode_fields__)
        if unknown:
            raise _unrecognized(sorted(unknown))
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _fault(error, choices) from error
    except msgspec.DecodeError as error:
        raise json_fault(error, body) from error
    except UnicodeDecodeError as error:
        raise invalid("The request's body is not UTF-8.", code="invalid_json") from error
    except RecursionError as error:
        raise invalid("The request's body is nested too deeply.", code="invalid_json") from error


def _unrecognized(names: list[str], place: str | None = None) -> BadRequestError:
    shown = ", ".join(f"'{name[:_NAME_CHARS]}'" for name in names[:_NAMES_SHOWN])
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    where = f" in {place}" if place else ""
    return invalid(f"Unrecognized key(s){where}: {shown}{more}.", place, code="unrecognized_keys")


def _fault(error: msgspec.ValidationError, choices: Mapping[str, tuple[str, ...]]) -> BadRequestError:
    message, _, place = str(error).partition(" - at `$")
    path = place.rstrip("`").lstrip(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.+)`", message, re.DOTALL)
    if unknown:
        return _unrecognized([unknown[1]], path)
    missing = re.fullmatch(r"Object missing required field `(\w+)`", message)
    if missing:
        path = f"{path}.{missing[1]}" if path else missing[1]
        return invalid(f'"{path}" is required', path, code="missing_required_parameter")
    allowed = choices.get(re.sub(r"\[\d+\]", "", path))
    if allowed is not None and message.startswith("Invalid value "):
        return invalid(f"{path} is {message.removeprefix('Invalid value ')}; it takes {', '.join(allowed)}.", path)
    return validation_fault(error, choices)
