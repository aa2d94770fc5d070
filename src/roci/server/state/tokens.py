"""Access tokens: made, listed and removed in one private file, and recognised by the gateway.

A token is `sk-lm-` with 8 characters that name it, a colon, and 20 that only its holder knows (119 bits, so that one
round of SHA-256 with a salt keeps them). The file holds the hash alone. Source of the form: the pattern in LM Studio's
SDKs, `^sk-lm-[A-Za-z0-9]{8}:[A-Za-z0-9]{20}$`.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import string
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from roci.engine.private_files import folder_lock, write_private
from roci.errors import ConfigError, UsageError
from roci.selector import nearest_names

FILE_NAME: Final = "tokens.json"
FORM: Final = re.compile(rb"sk-lm-([A-Za-z0-9]{8}):([A-Za-z0-9]{20})")
TOKENS_LIMIT: Final = 1000
NAME_LIMIT: Final = 100
_FILE_LIMIT_BYTES: Final = 1_000_000
_LETTERS: Final = string.ascii_letters + string.digits

_log = logging.getLogger(__name__)


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a token."""

    name: str
    id: str
    """The 8 characters after `sk-lm-`."""
    salt: str
    """16 random bytes in hex."""
    sha256: str
    """Of salt and secret, in hex."""
    created_at: datetime


class _File(msgspec.Struct, frozen=True, kw_only=True):
    tokens: list[Token]


def create_token(home: Path, name: str) -> str:
    """Makes a token called `name`, and gives the only copy of it that there will ever be.

    Raises:
        UsageError: the name is taken, empty, longer than 100 characters, or cannot be printed.
        ConfigError: the file cannot be read or written.
    """
    if not name.strip() or len(name) > NAME_LIMIT or not name.isprintable():
        raise UsageError(f"A token's name has 1 to {NAME_LIMIT} printable characters.", field="name")
    try:
        with folder_lock(home):
            tokens = list_tokens(home)
            if any(token.name == name for token in tokens):
                raise UsageError(
                    f"There is a token {name!r} already.",
                    field="name",
                    hint=f"Take another name, or remove it first: roci tokens rm {name}",
                )
            if len(tokens) >= TOKENS_LIMIT:
                raise UsageError(f"There are {TOKENS_LIMIT:,} tokens, and no more can be made.", field="name")
            public, secret, salt = _random(8), _random(20), secrets.token_bytes(16)
            made = Token(
                name=name,
                id=public,
                salt=salt.hex(),
                sha256=hashlib.sha256(salt + secret.encode()).hexdigest(),
                created_at=datetime.now(UTC).replace(microsecond=0),
            )
            _write(home, [*tokens, made])
    except OSError as error:
        raise _unusable(home, error.strerror or str(error)) from error
    return f"sk-lm-{public}:{secret}"


def list_tokens(home: Path) -> list[Token]:
    """The tokens that there are, the oldest first.

    Raises:
        ConfigError: the file cannot be read, or is damaged.
    """
    try:
        with (home / FILE_NAME).open("rb") as file:
            return msgspec.json.decode(file.read(_FILE_LIMIT_BYTES), type=_File).tokens
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unusable(home, error.strerror or str(error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _unusable(home, str(error)) from error


def remove_token(home: Path, name: str) -> Token:
    """Removes the token with this name, or with these 8 characters; it is refused from then on.

    Raises:
        UsageError: there is none.
        ConfigError: the file cannot be read or written.
    """
    try:
        with folder_lock(home):
            tokens = list_tokens(home)
            found = next((token for token in tokens if name in (token.name, token.id)), None)
            if found is None:
                nearest = nearest_names(name, tuple(token.name for token in tokens))
                hint = f"Did you mean {' or '.join(nearest)}?" if nearest else "See: roci tokens list"
                raise UsageError(f"There is no token {name!r}.", field="name", hint=hint)
            _write(home, [token for token in tokens if token is not found])
    except OSError as error:
        raise _unusable(home, error.strerror or str(error)) from error
    return found


class TokenKeeper:
    """Recognises tokens; reads the file again when it has changed. One that cannot be read lets nobody in."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = str(home / FILE_NAME)
        self._stamp: tuple[int, int, int] | None = None
        self._kept: dict[bytes, tuple[bytes, bytes]] = {}
        """Id -> salt and hash."""

    def knows(self, token: bytes) -> bool:
        """Whether `token` is one of ours. Takes some microseconds."""
        form = FORM.fullmatch(token)
        if form is None:
            return False
        self._refresh()
        public, secret = form.groups()
        kept = self._kept.get(public)
        return kept is not None and hmac.compare_digest(hashlib.sha256(kept[0] + secret).digest(), kept[1])

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - on every request, and cheaper than the method
            stamp = status.st_mtime_ns, status.st_size, status.st_ino
        except OSError:
            stamp = None
        if stamp == self._stamp:
            return
        self._stamp = stamp
        self._kept = {}
        try:
            self._kept = {
                token.id.encode(): (bytes.fromhex(token.salt), bytes.fromhex(token.sha256))
                for token in list_tokens(self._home)
            }
        except (ConfigError, ValueError) as error:
            _log.error("%s Until it is mended nobody is let in.", error)


def _write(home: Path, tokens: list[Token]) -> None:
    write_private(home / FILE_NAME, msgspec.json.format(msgspec.json.encode(_File(tokens=tokens)), indent=2) + b"\n")


def _random(count: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(count))


def _unusable(home: Path, reason: str) -> ConfigError:
    path = home / FILE_NAME
    return ConfigError(
        f"The file of tokens {path} cannot be used: {reason}.",
        setting=FILE_NAME,
        origin=str(path),
        hint="If it is damaged, remove it and make new tokens with `roci tokens create NAME`.",
    )
