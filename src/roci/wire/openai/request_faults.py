"""Decoding a request's body, and what is wrong with it, told with the field's path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from roci.errors import BadRequestError

T = TypeVar("T")


def decode_body(body: bytes, decoder: msgspec.json.Decoder[T], choices: Mapping[str, tuple[str, ...]]) -> T:
    """What `decoder` makes of a request's body.

    Args:
        choices: a field's path without positions -> the values that it takes, for the message.

    Raises:
        BadRequestError: `.param` is the path of the field at fault (`messages[0].role`), None where there is none.
    """
    if not body.strip():
        raise invalid("The request has no body; it takes a JSON object.", code="empty_body")
    try:
        body.decode()  # the decoder does not look into the fields that it skips
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise validation_fault(error, choices) from error
    except msgspec.DecodeError as error:
        raise json_fault(error, body) from error
    except UnicodeDecodeError as error:
        raise invalid("The request's body is not UTF-8.", code="invalid_json") from error
    except RecursionError as error:
        raise invalid("The request's body is nested too deeply.", code="invalid_json") from error


def invalid(message: str, param: str | None = None, *, code: str = "invalid_value", hint: str = "") -> BadRequestError:
    """The error for a field that cannot be used."""
    return BadRequestError(message, status=400, code=code, param=param, hint=hint)


def validation_fault(error: msgspec.ValidationError, choices: Mapping[str, tuple[str, ...]]) -> BadRequestError:
    """msgspec's words with the field's path taken out of them and given a place of its own.

    Args:
        choices: a field's path without positions -> the values that it takes.
    """
    message, _, place = str(error).partition(" - at `$")
    path = place.rstrip("`").lstrip(".").removesuffix("[...]").rstrip(".")
    missing = re.fullmatch(r"Object missing required field `(\w+)`", message)
    if missing:
        path = f"{path}.{missing[1]}" if path else missing[1]
        return invalid(f"{path} is missing.", path, code="missing_field")
    if not path:
        return invalid(f"The request's body cannot be used: {message}.", code="invalid_type")
    if message == "Expected `array` of length >= 1":
        return invalid(f"{path} is empty; it takes at least one.", path)
    allowed = choices.get(re.sub(r"\[\d+\]", "", path))
    if allowed is not None and message.startswith("Invalid enum value "):
        wrong = message.removeprefix("Invalid enum value ")
        return invalid(f"{path} is {wrong}; it takes {', '.join(allowed)}.", path)
    return invalid(f"{path} cannot be used: {message[:1].lower()}{message[1:]}.", path)


_NAMED_VALUE: Final = re.compile(rb'"([A-Za-z_]{1,64})"\s*:\s*-?$')
_NOT_NUMBERS: Final = (b"NaN", b"Infinity", b"-Infinity")


def json_fault(error: msgspec.DecodeError, body: bytes) -> BadRequestError:
    """Where `body` is no JSON; names the field where the reason is a NaN, as some clients write."""
    place = re.search(r"\(byte (\d+)\)", str(error))
    if place is not None:
        at = int(place[1])
        named = _NAMED_VALUE.search(body[max(0, at - 100) : at])
        if named is not None and body[at:].startswith(_NOT_NUMBERS):
            name = named[1].decode()
            return invalid(f"{name} is not a finite number, which JSON cannot carry.", name)
    return invalid(f"The request's body is not JSON: {error}.", code="invalid_json")
