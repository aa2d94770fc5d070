"""The items of a `/v1/responses` request -> chat messages for the engine, and items as they are listed again. Pure."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from roci.wire.images import GivenImage
from roci.wire.openai.request_faults import invalid
from roci.wire.openai.requests import AssistantToolCall, CalledFunction, ChatMessage, ContentPart, ImageUrl
from roci.wire.openai.responses_requests import Item, ItemPart

_TEXTS: Final = ("input_text", "output_text", "text")
_KINDS: Final = ("message", "function_call", "function_call_output", "reasoning", "mcp_call", "mcp_list_tools")


def messages_of(items: Sequence[Item], thread: Sequence[ChatMessage] = ()) -> list[ChatMessage]:
    """The messages that `items` stand for. Reasoning, text and calls in a row are one assistant message.

    Args:
        thread: what was said before; results may belong to its calls.

    Raises:
        BadRequestError: `.param` is the field's path.
    """
    reader = _Reader(call.id for message in thread for call in message.tool_calls or () if call.id)
    for position, item in enumerate(items):
        reader.read(item, f"input[{position}]")
    reader.end_turn()
    return reader.messages


def given_images(items: Sequence[Item]) -> Iterator[GivenImage]:
    """The images of a decoded request."""
    for position, item in enumerate(items):
        for name, parts in (("content", item.content), ("output", item.output)):
            for place, part in enumerate(parts if isinstance(parts, list) else ()):
                if part.image_url is not None:
                    path = f"input[{position}].{name}[{place}].image_url"
                    yield GivenImage(path, part.image_url, partial(setattr, part, "image_url"))


class _Reader:
    def __init__(self, call_ids: Any) -> None:
        self.messages: list[ChatMessage] = []
        self._call_ids: set[str] = set(call_ids)
        self._turn: ChatMessage | None = None
        """The assistant's message that is being put together."""

    def read(self, item: Item, path: str) -> None:
        match _kind(item, path):
            case "message":
                self._message(item, path)
            case "reasoning":
                turn = self._assistant_turn(after_answer=False)
                turn.reasoning_content = (turn.reasoning_content or "") + _reasoning(item)
            case "function_call":
                self._call(_required(item, "call_id", path), item, path)
            case "function_call_output":
                self._result(item, path)
            case "mcp_call":
                self._served_call(item, path)
            case _:  # mcp_list_tools tells the client, not the model
                pass

    def end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            if turn.content is None and not turn.tool_calls:
                turn.content = ""
            self.messages.append(turn)

    def _message(self, item: Item, path: str) -> None:
        if item.content is None:
            raise invalid(f"{path}.content is missing.", f"{path}.content", code="missing_field")
        if item.role == "assistant":
            self._assistant_turn(after_answer=False).content = _text(item.content, f"{path}.content")
            return
        self.end_turn()
        # `developer` is OpenAI's new name for `system`, which no chat template knows.
        role = "user" if item.role == "user" else "system"
        self.messages.append(ChatMessage(role, _content(item.content, f"{path}.content")))

    def _call(self, call_id: str, item: Item, path: str) -> None:
        name = _required(item, "name", path)
        arguments = _arguments(item, path)
        turn = self._assistant_turn(after_answer=True)
        call = AssistantToolCall(CalledFunction(name, arguments), id=call_id, type="function")
        turn.tool_calls = [*(turn.tool_calls or ()), call]
        self._call_ids.add(call_id)

    def _result(self, item: Item, path: str) -> None:
        call_id = _required(item, "call_id", path)
        if call_id not in self._call_ids:
            raise invalid(f"{path}.call_id is {call_id!r}; no function_call before it has this id.", f"{path}.call_id")
        if item.output is None or isinstance(item.output, dict):
            raise invalid(f"{path}.output is missing; it takes a text or a list of parts.", f"{path}.output")
        self.end_turn()
        self.messages.append(ChatMessage("tool", _content(item.output, f"{path}.output"), tool_call_id=call_id))

    def _served_call(self, item: Item, path: str) -> None:
        """A call that the server made itself, in an answer that the client sends back."""
        call_id = _required(item, "id", path)
        self._call(call_id, item, path)
        self.end_turn()
        output = item.output if isinstance(item.output, str) else msgspec.json.encode(item.error).decode()
        self.messages.append(ChatMessage("tool", output, tool_call_id=call_id))

    def _assistant_turn(self, *, after_answer: bool) -> ChatMessage:
        """The assistant's message to add to: a new one, unless what comes belongs behind what is there.

        Args:
            after_answer: it may follow on text and calls, as another call does.
        """
        turn = self._turn
        if turn is not None and not after_answer and (turn.content is not None or turn.tool_calls):
            self.end_turn()
            turn = None
        if turn is None:
            turn = self._turn = ChatMessage("assistant")
        return turn


def _kind(item: Item, path: str) -> str:
    kind = item.type
    if kind is None and item.role is not None:
        kind = "message"
    if kind == "item_reference" or (kind is None and item.id is not None):
        raise invalid(
            f"{path} refers to the item {(item.id or '')[:80]!r}, which this server does not have.",
            f"{path}.id",
            code="item_not_found",
            hint="Items are kept as parts of answers: go on by previous_response_id, or send the item itself.",
        )
    if kind is None:
        raise invalid(f"{path}.type is missing.", f"{path}.type", code="missing_field")
    if kind not in _KINDS:
        raise invalid(f"{path}.type is {kind!r}; it takes {', '.join(_KINDS)}.", f"{path}.type")
    if kind == "message" and item.role is None:
        raise invalid(f"{path}.role is missing.", f"{path}.role", code="missing_field")
    return kind


def _required(item: Item, name: str, path: str) -> str:
    value = getattr(item, name)
    if not value:
        raise invalid(f"{path}.{name} is missing.", f"{path}.{name}", code="missing_field")
    return value


def _arguments(item: Item, path: str) -> str:
    path = f"{path}.arguments"
    if isinstance(item.arguments, dict):
        return msgspec.json.encode(item.arguments).decode()
    try:
        arguments = msgspec.json.decode(item.arguments or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(f"{path} is not JSON: {error}.", path) from error
    if not isinstance(arguments, dict):
        raise invalid(f"{path} is not a JSON object.", path)
    return item.arguments or "{}"


def _reasoning(item: Item) -> str:
    parts = item.content if item.content and not isinstance(item.content, str) else item.summary or []
    return item.content if isinstance(item.content, str) else "\n".join(part.text or "" for part in parts)


def _content(content: str | list[ItemPart], path: str) -> str | list[ContentPart]:
    """Text alone as one string, which every chat template takes."""
    if isinstance(content, str):
        return content
    parts = [_part(part, f"{path}[{position}]") for position, part in enumerate(content)]
    if all(part.type == "text" for part in parts):
        return "\n".join(part.text or "" for part in parts)
    return parts


def _text(content: str | list[ItemPart], path: str) -> str:
    """What an assistant said; its parts are pieces of one text."""
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for position, part in enumerate(content):
        if part.type == "refusal":
            texts.append(part.refusal or "")
            continue
        read = _part(part, f"{path}[{position}]")
        if read.text is None:
            raise invalid(f"{path}[{position}] is an image; an assistant has text only.", f"{path}[{position}].type")
        texts.append(read.text)
    return "".join(texts)


def _part(part: ItemPart, path: str) -> ContentPart:
    if part.type in _TEXTS:
        if part.text is None:
            raise invalid(f"{path}.text is missing.", f"{path}.text", code="missing_field")
        return ContentPart("text", text=part.text)
    if part.type != "input_image":
        raise invalid(f"{path}.type is {part.type!r}; it takes {', '.join(_TEXTS)} and input_image.", f"{path}.type")
    if part.image_url is None:
        where = f"{path}.file_id" if part.file_id is not None else f"{path}.image_url"
        raise invalid(f"{path}.image_url is missing; images are taken as data URIs only.", where, code="missing_field")
    return ContentPart("image_url", image_url=ImageUrl(part.image_url))


def listed_items(
    items: Sequence[Item], new_id: Callable[[], str] = lambda: secrets.token_hex(24)
) -> list[dict[str, Any]]:
    """Checked `items` as `/v1/responses/{id}/input_items` lists them: every one with an id and all its parts."""
    return [listed for item in items if (listed := _listed(item, new_id)) is not None]


def _listed(item: Item, new_id: Callable[[], str]) -> dict[str, Any] | None:
    done: dict[str, Any] = {"status": "completed"}
    match item.type or "message":
        case "message":
            return {
                "id": item.id or f"msg_{new_id()}",
                "type": "message",
                "role": item.role,
                "content": _listed_content(item),
            } | done
        case "function_call":
            call = {"call_id": item.call_id, "name": item.name, "arguments": _arguments(item, "")}
            return {"id": item.id or f"fc_{new_id()}", "type": "function_call"} | call | done
        case "function_call_output":
            output = item.output if isinstance(item.output, str) else _listed_parts(item.output or [])
            result = {"call_id": item.call_id, "output": output}
            return {"id": item.id or f"fco_{new_id()}", "type": "function_call_output"} | result | done
        case "reasoning":
            content = [{"type": "reasoning_text", "text": _reasoning(item)}]
            return {"id": item.id or f"rs_{new_id()}", "type": "reasoning", "summary": [], "content": content} | done
        case "mcp_call":
            fields = {"server_label": item.server_label or "", "name": item.name, "arguments": _arguments(item, "")}
            return {"id": item.id, "type": "mcp_call", "output": item.output, "error": item.error} | fields
        case _:
            return None


def _listed_content(item: Item) -> list[dict[str, Any]]:
    if item.role == "assistant":
        text = _text(item.content or "", "")
        return [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    if isinstance(item.content, str):
        return [{"type": "input_text", "text": item.content}]
    return _listed_parts(item.content or [])


def _listed_parts(parts: Sequence[ItemPart] | dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "input_image", "detail": "auto", "image_url": part.image_url}
        if part.type == "input_image"
        else {"type": "input_text", "text": part.text}
        for part in parts
        if isinstance(part, ItemPart)
    ]
