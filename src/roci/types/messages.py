"""A conversation's messages and their parts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import msgspec

from roci.errors import UsageError
from roci.types.tools import ToolCall

Role = Literal["system", "user", "assistant", "tool"]


class TextPart(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    text: str


class ImagePart(msgspec.Struct, frozen=True, tag_field="type", tag="image"):
    """An image, as a URL. Make it with `from_path`, `from_bytes`, `from_url` or `from_data_uri`.

    Those look at the image and carry it as a data URI: PNG and JPEG as they are, any other kind (WebP, GIF, BMP, TIFF,
    AVIF) as PNG, if Pillow is installed. Without it they stay what they are, and a provider whose server does not take
    them raises `UnsupportedError` before anything is sent. An image has 32 MiB at most.
    """

    url: str

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> ImagePart:
        """The image in a file, which is read here and now; in an event loop, call it in a thread.

        Raises:
            UsageError: no such file, no image, or one that is cut short or too large.
        """
        from roci.types import images  # only for those who send some

        return cls(images.data_uri(images.file_bytes(path)))

    @classmethod
    def from_bytes(cls, data: bytes, media_type: str | None = None) -> ImagePart:
        """The image in `data`. What kind it is the bytes tell; `media_type` is not believed where they differ.

        Raises:
            UsageError: no image, or one that is cut short or too large.
        """
        from roci.types import images  # only for those who send some

        return cls(images.data_uri(bytes(data)))

    @classmethod
    def from_url(cls, url: str) -> ImagePart:
        """The image at an `http` or `https` address, which the server must fetch; most local servers do not
        (`fetch_image` fetches it here). A data URI is taken as by `from_data_uri`.

        Raises:
            UsageError: another kind of address.
        """
        if url[:5].lower() == "data:":
            return cls.from_data_uri(url)
        from roci.types import images  # only for those who send some

        if not images.is_address(url):
            raise UsageError(
                f"{url[:60]!r} is no address of an image: it takes http://…, https://… or data:….",
                field="url",
                hint="For a file there is ImagePart.from_path.",
            )
        return cls(url)

    @classmethod
    def from_data_uri(cls, uri: str) -> ImagePart:
        """The image in a data URI in base64, such as `data:image/png;base64,…`.

        Raises:
            UsageError: no such URI, no image, or one that is cut short or too large.
        """
        from roci.types import images  # only for those who send some

        return cls(images.data_uri(images.decoded_uri(uri)))


Part = TextPart | ImagePart
Content = str | Sequence[Part | str]


class ModelMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of a conversation. Make it with `user`, `system`, `assistant` or `tool_result`."""

    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls that an assistant's message asks for."""
    tool_call_id: str = ""
    """On a tool's result: the call it answers."""
    is_error: bool = False
    """On a tool's result: the tool failed, and the text says how."""
    reasoning: str = ""
    """On an assistant's message: what the model thought before it answered. Not sent back."""

    @classmethod
    def user(cls, content: Content) -> ModelMessage:
        return cls(role="user", parts=_parts(content))

    @classmethod
    def system(cls, content: Content) -> ModelMessage:
        return cls(role="system", parts=_parts(content))

    @classmethod
    def assistant(
        cls, content: Content = "", *, tool_calls: Sequence[ToolCall] = (), reasoning: str = ""
    ) -> ModelMessage:
        return cls(role="assistant", parts=_parts(content), tool_calls=tuple(tool_calls), reasoning=reasoning)

    @classmethod
    def tool_result(cls, tool_call_id: str, content: Content, *, is_error: bool = False) -> ModelMessage:
        """What the tool gave for the call with that id; `content` is text, often JSON."""
        return cls(role="tool", parts=_parts(content), tool_call_id=tool_call_id, is_error=is_error)

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


def conversation(messages: str | ModelMessage | Sequence[ModelMessage]) -> tuple[ModelMessage, ...]:
    """`messages` as a tuple: a string is one user message.

    Raises:
        UsageError: no message at all, or something that is no `ModelMessage`.
    """
    if isinstance(messages, str):
        messages = (ModelMessage.user(messages),)
    elif isinstance(messages, ModelMessage):
        messages = (messages,)
    else:
        messages = tuple(messages)
    if not messages:
        raise UsageError(
            "There are no messages to answer.",
            field="messages",
            hint='Pass a string, or a list such as [ModelMessage.user("…")].',
        )
    for index, message in enumerate(messages):
        if not isinstance(message, ModelMessage):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(
                f"messages[{index}] is a {type(message).__name__}, not a ModelMessage.",
                field=f"messages[{index}]",
                hint="Make it with ModelMessage.user, .system, .assistant or .tool_result.",
            )
        if not (message.parts or message.tool_calls or message.role == "tool"):
            raise UsageError(
                f"messages[{index}] ({message.role}) is empty.",
                field=f"messages[{index}]",
                hint="Give it text, or leave the message out.",
            )
    return messages


def _parts(content: Content) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(content),) if content else ()
    return tuple(TextPart(part) if isinstance(part, str) else part for part in content)
