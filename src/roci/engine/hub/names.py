"""What users may call a model that is elsewhere: `owner/name`, a link to the hub, a link to a file. It reads text."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from roci.engine.hub.endpoint import Hub, origin
from roci.errors import UsageError

NAME_LIMIT: Final = 4096
PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
QUANTIZATION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
FILE_PART: Final = re.compile(r"[^\x00-\x1f\x7f/\\]{1,200}")
SHORT_HOSTS: Final = ("hf.co/", "huggingface.co/", "www.huggingface.co/")
HUB_HOSTS: Final = ("huggingface.co", "www.huggingface.co", "hf.co")
FORMS: Final = (
    "It is a name that `roci models --recommended` lists, OWNER/NAME, OWNER/NAME@Q4_K_M, a link to a model or file on "
    "Hugging Face, or a link to a .gguf file. To find one: roci search WORDS"
)


class HubName(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a repository of the hub."""

    repo: str
    """`owner/name`."""
    quantization: str = ""
    """Empty: the best that fits."""
    revision: str = "main"
    file: str = ""
    """A file's path in the repository; empty: to be chosen."""


class FileLink(msgspec.Struct, frozen=True, kw_only=True):
    """A GGUF file at any address."""

    url: str
    publisher: str
    """The host, as a folder's name."""
    file: str


def parse_name(text: str, quantization: str | None, hub: Hub) -> HubName | FileLink:
    """What `text` names.

    Args:
        quantization: asked for beside the name; the same as `@quantization` at its end.

    Raises:
        UsageError: it is none of the known forms, or names two quantizations.
    """
    name = text.strip()
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        raise _unknown(text)
    for short in SHORT_HOSTS:
        if name.lower().startswith(short):
            name = f"https://{name}"
    if "://" in name:
        return _link(name, quantization, hub)
    repo, mark, asked = name.partition("@")
    if not mark:
        repo, mark, asked = name.partition(":")  # as Ollama writes it
    checked_repo(repo, text)
    return HubName(repo=repo, quantization=_quantization(asked if mark else None, quantization))


def checked_repo(repo: str, text: str) -> str:
    """`repo` if it can be `owner/name`, which are also the names of two folders.

    Raises:
        UsageError: it cannot; `text` is what the user wrote.
    """
    if not is_repo(repo):
        raise _unknown(text)
    return repo


def is_repo(repo: str) -> bool:
    """Whether `repo` can be `owner/name`."""
    parts = repo.split("/")
    return len(parts) == 2 and all(PART.fullmatch(part) and ".." not in part for part in parts)


def is_safe_path(path: str) -> bool:
    """Whether a file's path in a repository stays beneath the folder it is put into."""
    parts = path.split("/")
    return len(parts) <= 16 and all(FILE_PART.fullmatch(part) and not part.startswith(".") for part in parts)


def _link(url: str, quantization: str | None, hub: Hub) -> HubName | FileLink:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _unknown(url)
    if parts.username is not None or parts.password is not None:
        raise UsageError("A link with a password in it is not taken: it would end up in logs.", field="model")
    base = urlsplit(hub.endpoint)
    if origin(url) == origin(hub.endpoint) and parts.path.startswith(base.path):
        return _hub_link(url, parts.path[len(base.path) :], quantization)
    if parts.hostname.lower() in HUB_HOSTS:
        # A link to the hub is asked for at the mirror where there is one.
        return _hub_link(url, parts.path, quantization)
    file = unquote(parts.path).rpartition("/")[2]
    if not file.lower().endswith(".gguf") or not is_safe_path(file):
        raise UsageError(
            f"The link {url!r} does not end in the name of a .gguf file.",
            field="model",
            hint=f"Links to models are taken from {hub.endpoint}, and to single files from anywhere.",
        )
    publisher = re.sub(r"[^A-Za-z0-9.-]", "-", parts.hostname).strip(".-") or "link"
    return FileLink(url=url.partition("#")[0], publisher=publisher, file=file)


def _hub_link(url: str, path: str, quantization: str | None) -> HubName:
    parts = [unquote(part) for part in path.split("/") if part]
    if parts and parts[0] == "models":
        parts = parts[1:]
    repo, asked = "/".join(parts[:2]), None
    if "@" in repo or ":" in repo:
        repo, _, asked = repo.replace(":", "@").partition("@")
    checked_repo(repo, url)
    if len(parts) == 2:
        return HubName(repo=repo, quantization=_quantization(asked, quantization))
    if parts[2] == "tree":
        revision = parts[3] if len(parts) > 3 else "main"
        return HubName(repo=repo, quantization=_quantization(None, quantization), revision=_revision(revision, url))
    file = "/".join(parts[4:])
    if parts[2] not in ("blob", "resolve") or not file.lower().endswith(".gguf") or not is_safe_path(file):
        raise _unknown(url)
    return HubName(repo=repo, revision=_revision(parts[3], url), file=file)


def _revision(text: str, url: str) -> str:
    if not PART.fullmatch(text) or ".." in text:
        raise _unknown(url)
    return text


def _quantization(in_name: str | None, beside: str | None) -> str:
    for text in (in_name, beside):
        if text is not None and not QUANTIZATION.fullmatch(text):
            raise UsageError(
                f"{text!r} is no quantization.", field="quantization", hint="It looks like Q4_K_M, Q8_0 or F16."
            )
    if in_name and beside and in_name.lower() != beside.lower():
        raise UsageError(f"Two quantizations are asked for: {in_name} and {beside}.", field="quantization")
    return in_name or beside or ""


def _unknown(text: str) -> UsageError:
    return UsageError(f"{text[:200]!r} is not the name of a model that can be fetched.", field="model", hint=FORMS)
