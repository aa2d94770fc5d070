"""The other objects of `/v1/responses`, and the response's type for those who read the API's description.

Source: OpenAI API reference, responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from roci.wire.openai.responses_objects import ResponseStatus

EVENT_NAMES: Final = (
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.reasoning_text.delta",
    "response.reasoning_text.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.mcp_list_tools.in_progress",
    "response.mcp_list_tools.completed",
    "response.mcp_call.in_progress",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
    "response.output_item.done",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "error",
)


class ResponseUsage(Struct):
    input_tokens: int
    input_tokens_details: dict[str, int]
    """`cached_tokens`, of those that the model still knew; `cache_write_tokens`, always 0."""
    output_tokens: int
    output_tokens_details: dict[str, int]
    """`reasoning_tokens`."""
    total_tokens: int


class IncompleteDetails(Struct):
    reason: Literal["max_output_tokens"]


class ResponseError(Struct):
    code: str
    message: str
    type: str | None
    """roci's own code, such as `worker_died`."""
    param: str | None


class ResponseReply(Struct, kw_only=True):
    """An answer, with what was asked. What this server cannot do is told as it is: `background` false and so on."""

    id: str
    object: Literal["response"]
    created_at: int
    """Seconds since 1970, as `completed_at`."""
    completed_at: int | None
    status: ResponseStatus
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    model: str
    """The id of the loaded copy that answered."""
    output: list[dict[str, Any]]
    """Items of type reasoning, message and function_call, as the model wrote them."""
    usage: ResponseUsage | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: dict[str, Any]
    store: bool
    temperature: float
    """What counted, as `top_p`, also where the request was silent."""
    top_p: float
    text: dict[str, Any]
    tool_choice: Any
    tools: list[dict[str, Any]]
    truncation: str
    roci: dict[str, Any] = {}
    """`notes`, with what OpenAI has no word for; absent where there is nothing to say."""


class DeletedResponse(Struct, kw_only=True):
    id: str
    object: Literal["response"] = "response"
    deleted: bool = True


class InputItems(Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    first_id: str
    """Empty where `data` is."""
    last_id: str
    has_more: bool


class InputTokens(Struct, kw_only=True):
    input_tokens: int
    object: Literal["response.input_tokens"] = "response.input_tokens"


def page_of(items: Sequence[dict[str, Any]], *, after: str | None, limit: int, newest_first: bool) -> InputItems:
    """A page of `items`, which are in the order of the request."""
    ordered = list(reversed(items)) if newest_first else list(items)
    ids = [item["id"] for item in ordered]
    start = ids.index(after) + 1 if after in ids else 0
    page = ordered[start : start + limit]
    return InputItems(
        data=page,
        first_id=page[0]["id"] if page else "",
        last_id=page[-1]["id"] if page else "",
        has_more=start + limit < len(ordered),
    )
