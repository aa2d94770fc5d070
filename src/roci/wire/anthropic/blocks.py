"""Content blocks of `/v1/messages` -> the parts of a chat message. Pure. Every error names the block's path."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from roci.wire.anthropic.requests import Block, InputMessage, Source
from roci.wire.images import GivenImage
from roci.wire.openai.request_faults import invalid
from roci.wire.openai.requests import ContentPart, ImageUrl

T = TypeVar("T")

PARAGRAPH: Final = "\n\n"
_IMAGE_TYPES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")


def given_images(messages: Sequence[InputMessage]) -> Iterator[GivenImage]:
    """The images of a decoded request, those in results of tools and in documents too."""
    for position, message in enumerate(messages):
        yield from _images_in(message.content, f"messages[{position}].content")


def _images_in(content: object, path: str) -> Iterator[GivenImage]:
    if not isinstance(content, list):
        return
    blocks: list[Block] = content  # pyright: ignore[reportUnknownVariableType] - decoded as such
    for position, block in enumerate(blocks):
        place = f"{path}[{position}]"
        yield from _images_in(block.content, f"{place}.content")
        source = block.source
        if not isinstance(source, Source):
            continue
        yield from _images_in(source.content, f"{place}.source.content")
        if block.type == "image" and source.type == "base64" and source.data is not None:
            yield GivenImage(f"{place}.source.data", source.data, _filled(source))


def _filled(source: Source) -> Callable[[str], None]:
    def put(uri: str) -> None:
        kind, _, data = uri.removeprefix("data:").partition(";base64,")
        source.media_type, source.data = kind, data

    return put


def content_of(parts: list[ContentPart]) -> str | list[ContentPart]:
    """Text alone as a string, which every template can show."""
    if all(part.type == "text" for part in parts):
        return "\n".join(part.text or "" for part in parts)
    return parts


def parts_in(content: object, path: str) -> list[ContentPart]:
    """The parts of a block's own content: text, blocks, or nothing."""
    if content is None:
        return []
    if isinstance(content, str):
        return [ContentPart("text", content)]
    if not isinstance(content, list):
        raise invalid(f"{path} is neither a text nor a list of content blocks.", path)
    blocks: list[Block] = content  # pyright: ignore[reportUnknownVariableType] - decoded as such
    return [part for position, block in enumerate(blocks) for part in parts_of(block, f"{path}[{position}]")]


def parts_of(block: Block, path: str) -> list[ContentPart]:
    """What a user's block shows the model."""
    read = _READERS.get(block.type)
    if read is None:
        takes = ", ".join((*_READERS, "tool_result"))
        raise invalid(f"{path}.type is {block.type!r}; it takes {takes}.", f"{path}.type")
    return read(block, path)


def _text_parts(block: Block, path: str) -> list[ContentPart]:
    return [ContentPart("text", text_of(block, path))]


def _image_parts(block: Block, path: str) -> list[ContentPart]:
    place = f"{path}.source"
    source = _source(block, place)
    if source.type != "base64":
        raise invalid(
            f"{place}.type is {source.type!r}; images are taken as base64 data only.",
            f"{place}.type",
            hint="This server fetches nothing from elsewhere: send the image itself.",
        )
    if source.media_type not in _IMAGE_TYPES:
        takes = ", ".join(_IMAGE_TYPES)
        raise invalid(f"{place}.media_type is {source.media_type!r}; it takes {takes}.", f"{place}.media_type")
    data = "".join(needed(source.data, f"{place}.data").split())  # some encoders break lines
    try:
        is_empty = not binascii.a2b_base64(data, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"{place}.data is not base64: {error}.", f"{place}.data") from error
    if is_empty:
        raise invalid(f"{place}.data is empty.", f"{place}.data")
    return [ContentPart("image_url", image_url=ImageUrl(f"data:{source.media_type};base64,{data}"))]


def _document_parts(block: Block, path: str) -> list[ContentPart]:
    place = f"{path}.source"
    source = _source(block, place)
    titles = [text for text in (block.title, block.context) if text]
    heading = [ContentPart("text", PARAGRAPH.join(titles))] if titles else []
    if source.type == "text":
        return [*heading, ContentPart("text", needed(source.data, f"{place}.data"))]
    if source.type == "content":
        return [*heading, *parts_in(source.content, f"{place}.content")]
    raise invalid(
        f"{place}.type is {source.type!r}; documents are taken as text only.",
        f"{place}.type",
        code="documents_not_supported",
        hint="Send the document's text: a source of type text, with data.",
    )


def _search_result_parts(block: Block, path: str) -> list[ContentPart]:
    where = [text for text in (block.title, block.source) if isinstance(text, str) and text]
    return [ContentPart("text", "\n".join(where)), *parts_in(block.content, f"{path}.content")]


_READERS: Final[dict[str, Callable[[Block, str], list[ContentPart]]]] = {
    "text": _text_parts,
    "image": _image_parts,
    "document": _document_parts,
    "search_result": _search_result_parts,
}


def _source(block: Block, path: str) -> Source:
    source = needed(block.source, path)
    if isinstance(source, str):
        raise invalid(f"{path} is a text; it takes an object.", path)
    return source


def text_of(block: Block, path: str) -> str:
    """The text of a block that has to be one of text."""
    if block.type != "text":
        raise invalid(f"{path}.type is {block.type!r}; only text can stand here.", f"{path}.type")
    return needed(block.text, f"{path}.text")


def needed(value: T | None, path: str) -> T:
    """`value`, where it is there."""
    if value is None:
        raise invalid(f"{path} is missing.", path, code="missing_field")
    return value
