"""The objects of `/v1/responses` as they go out: the response itself and its output items. Pure.

Source: OpenAI API reference, responses; LM Studio 0.3.39 to 0.4.25 as observed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw, Struct

from roci.wire.generation import Call, Note, Part, TokenUsage
from roci.wire.openai.chat_writer import notes_field
from roci.wire.openai.responses_ask import DEFAULT_SCHEMA_NAME
from roci.wire.openai.responses_requests import ReasoningSpec, ResponsesRequest, ResponsesTool, TextSpec, ToolChoiceSpec
from roci.wire.reply_writer import Begun, Failure

ItemStatus = Literal["in_progress", "completed", "incomplete"]
ResponseStatus = Literal["in_progress", "completed", "incomplete", "failed"]

ENGINE_SAMPLING: Final = {"temperature": 0.8, "top_p": 0.95, "presence_penalty": 0.0, "frequency_penalty": 0.0}
"""What llama.cpp does where nobody says anything."""
_ID_PREFIXES: Final = {"reasoning": "rs_", "text": "msg_", "call": "fc_"}


class TopLogprob(Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None

    def __post_init__(self) -> None:
        self.bytes = self.bytes or []  # OpenAI's client takes no null


class Logprob(TopLogprob):
    top_logprobs: list[TopLogprob] = []


_logprob_decoder: Final = msgspec.json.Decoder(Logprob)


def logprobs_of(entries: Sequence[Raw]) -> list[Logprob]:
    """Chat's `logprobs.content`, in which each engine has further fields."""
    return [_logprob_decoder.decode(entry) for entry in entries]


def item_id(kind: Literal["reasoning", "text", "call"], digits: str) -> str:
    return _ID_PREFIXES[kind] + digits


def output_item(part: Part, identifier: str, status: ItemStatus) -> dict[str, Any]:
    """A stretch of the answer as an item; begun, whole, or as much of it as there is."""
    if part.call is not None:
        return _function_call(part.call, identifier, status)
    if part.kind == "reasoning":
        content = [content_part(part)] if status != "in_progress" else []
        return {"id": identifier, "type": "reasoning", "status": status, "summary": [], "content": content}
    content = [content_part(part)] if status != "in_progress" else []
    return {"id": identifier, "type": "message", "status": status, "role": "assistant", "content": content}


def content_part(part: Part) -> dict[str, Any]:
    """The one part that a message or reasoning item has."""
    if part.kind == "reasoning":
        return {"type": "reasoning_text", "text": part.text}
    return {"type": "output_text", "text": part.text, "annotations": [], "logprobs": logprobs_of(part.logprobs)}


def _function_call(call: Call, identifier: str, status: ItemStatus) -> dict[str, Any]:
    arguments = call.arguments or ("{}" if call.is_whole else "")
    fields = {"call_id": call.id, "name": call.name, "arguments": arguments}
    return {"id": identifier, "type": "function_call", "status": status, **fields}


def usage_object(usage: TokenUsage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def error_object(failure: Failure) -> dict[str, Any]:
    """The `error` of a failed response: `code` is one of those that OpenAI's client knows, `type` is ours."""
    if failure.status >= 500:
        code = "server_error"
    else:
        code = "rate_limit_exceeded" if failure.status == 429 else "invalid_prompt"
    return {"code": code, "message": failure.message, "type": failure.code, "param": failure.param}


class ResponseShape:
    """A response's fields that stay the same from its beginning to its end.

    Args:
        sampling: what the model's own settings say where the request is silent.
    """

    def __init__(self, request: ResponsesRequest, sampling: Mapping[str, Any]) -> None:
        used = ENGINE_SAMPLING | {name: sampling[name] for name in ENGINE_SAMPLING if name in sampling}
        for name in ENGINE_SAMPLING:
            if getattr(request, name) is not None:
                used[name] = getattr(request, name)
        self._echo: dict[str, Any] = {
            "background": False,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "max_tool_calls": request.max_tool_calls,
            "metadata": request.metadata or {},
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "previous_response_id": request.previous_response_id,
            "prompt_cache_key": request.prompt_cache_key,
            "reasoning": _reasoning(request),
            "safety_identifier": request.safety_identifier,
            "service_tier": "default",
            "store": request.is_stored,
            "text": _text(request.text),
            "tool_choice": _tool_choice(request.tool_choice),
            "tools": [_tool(tool) for tool in request.tools or ()],
            "top_logprobs": request.top_logprobs or 0,
            "truncation": request.truncation or "disabled",
            "user": request.user,
            **used,
        }

    def response(
        self,
        begun: Begun,
        status: ResponseStatus,
        output: Sequence[dict[str, Any]] = (),
        *,
        usage: TokenUsage | None = None,
        completed_at: int | None = None,
        error: Failure | None = None,
        notes: Sequence[Note] = (),
    ) -> dict[str, Any]:
        """The whole object."""
        return {
            "id": f"resp_{begun.id}",
            "object": "response",
            "created_at": begun.created,
            "completed_at": completed_at if status == "completed" else None,
            "status": status,
            "error": None if error is None else error_object(error),
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "model": begun.model,
            "output": output,
            "usage": None if usage is None else usage_object(usage),
            **self._echo,
            **notes_field(list(notes)),
        }


def _reasoning(request: ResponsesRequest) -> dict[str, Any]:
    given = request.reasoning
    effort = given.effort if isinstance(given, ReasoningSpec) else given
    if isinstance(effort, bool):
        effort = "medium" if effort else "none"
    summary = given.summary if isinstance(given, ReasoningSpec) else None
    return {"effort": effort or request.reasoning_effort, "summary": summary}


def _text(text: TextSpec | None) -> dict[str, Any]:
    wanted = None if text is None else text.format
    kind = "text" if wanted is None else wanted.type
    form: dict[str, Any] = {"type": kind}
    if wanted is not None and kind == "json_schema":
        form |= {"name": wanted.name or DEFAULT_SCHEMA_NAME, "schema": wanted.schema}
        form |= {"description": wanted.description, "strict": wanted.strict}
    return {"format": form} | ({} if text is None or text.verbosity is None else {"verbosity": text.verbosity})


def _tool_choice(choice: str | ToolChoiceSpec | None) -> str | dict[str, Any]:
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    if choice.type == "allowed_tools":
        tools = [{"type": tool.type, "name": tool.name} for tool in choice.tools or ()]
        return {"type": choice.type, "mode": choice.mode or "auto", "tools": tools}
    return {"type": choice.type, "name": choice.name}


def _tool(tool: ResponsesTool) -> dict[str, Any]:
    if tool.type == "mcp":
        # Its headers hold secrets.
        place = {"server_label": tool.server_label, "server_url": tool.server_url}
        return {"type": "mcp", **place, "allowed_tools": tool.allowed_tools, "require_approval": "never"}
    about = {"name": tool.name, "description": tool.description}
    return {"type": tool.type, **about, "parameters": tool.parameters, "strict": tool.strict}
