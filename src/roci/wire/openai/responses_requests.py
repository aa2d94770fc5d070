"""What a client may ask of `/v1/responses`. Unknown fields are ignored, as LM Studio does.

Source: OpenAI API reference, responses; LM Studio 0.3.29 to 0.4.25 as observed.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from roci.wire.openai.requests import FormatKind, Penalty, Share, Temperature

LOGPROBS: Final = "message.output_text.logprobs"
"""The entry of `include` that asks for log probabilities."""
TOKENS_LIMIT: Final = 2**31 - 1

ItemRole = Literal["user", "system", "developer", "assistant"]
Truncation = Literal["auto", "disabled"]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class ItemPart(Struct):
    """A piece of an item's content."""

    type: str
    """input_text, output_text, text, refusal, input_image, reasoning_text or summary_text."""
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    """A PNG, JPEG, WebP or GIF: a data URI, or its base64 alone. Nothing is fetched."""
    file_id: str | None = None


class Item(Struct):
    """A piece of the conversation; which fields count depends on its type."""

    type: str | None = None
    """message, which is the default, function_call, function_call_output, reasoning, mcp_call or mcp_list_tools."""
    id: str | None = None
    role: ItemRole | None = None
    content: str | list[ItemPart] | None = None
    summary: list[ItemPart] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    """JSON text of an object."""
    output: str | list[ItemPart] | dict[str, Any] | None = None
    server_label: str | None = None
    error: str | dict[str, Any] | None = None


class McpAllowedTools(Struct):
    tool_names: Annotated[list[str], Meta(max_length=1000)] | None = None


class ResponsesTool(Struct, kw_only=True):
    """A function of the client's, or an MCP server whose tools roci calls itself."""

    type: str
    """function or mcp."""
    name: Name | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    server_label: Name | None = None
    server_url: Annotated[str, Meta(max_length=4000)] | None = None
    allowed_tools: Annotated[list[str], Meta(max_length=1000)] | McpAllowedTools | None = None
    headers: Annotated[dict[str, str], Meta(max_length=100)] | None = None
    authorization: Annotated[str, Meta(max_length=8000)] | None = None
    """A token, sent as `Authorization: Bearer`."""
    require_approval: str | dict[str, Any] | None = None
    """Only never: roci makes the calls without asking."""


class ChosenTool(Struct):
    type: str
    name: str | None = None


class ToolChoiceSpec(Struct):
    """`{type: function, name}`, or `{type: allowed_tools, mode, tools}`."""

    type: str
    name: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[ChosenTool] | None = None


class ReasoningSpec(Struct):
    effort: str | None = None
    """none, minimal, low, medium, high or xhigh."""
    summary: str | None = None
    """Echoed. What the model thought is given whole, so that there is nothing to sum up."""


class TextFormat(Struct):
    type: FormatKind
    name: str | None = None
    schema: dict[str, Any] | None = None
    """Of json_schema, which needs it."""
    description: str | None = None
    strict: bool | None = None


class TextSpec(Struct):
    format: TextFormat | None = None
    """Default: text."""
    verbosity: str | None = None


class ResponsesRequest(Struct, kw_only=True):
    """The body of `POST /v1/responses`. A null means the same as a field that is absent."""

    model: str = ""
    """An instance's id or a model's key; empty: the only one in memory, or else the only one there is."""
    input: str | Annotated[list[Item], Meta(max_length=100_000)] | None = None
    """Text of the user's, or items; needed unless `previous_response_id` is there."""
    instructions: str | None = None
    """System text for this answer alone; it is not carried over."""
    previous_response_id: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """An answer of `/v1/responses` or `/api/v1/chat` to go on from."""
    stream: bool | None = None
    store: bool | None = None
    """Whether the answer can be had again and continued; default true."""
    temperature: Temperature | None = None
    top_p: Share | None = None
    max_output_tokens: int | None = None
    """From 1, reasoning included; null and -1 are no limit."""
    max_tool_calls: Annotated[int, Meta(ge=1)] | None = None
    tools: Annotated[list[ResponsesTool], Meta(max_length=1000)] | None = None
    tool_choice: str | ToolChoiceSpec | None = None
    """none, auto, required, or an object; default auto."""
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningSpec | str | bool | None = None
    reasoning_effort: str | None = None
    """Chat's spelling of `reasoning.effort`."""
    text: TextSpec | None = None
    include: list[str] | None = None
    """Only `message.output_text.logprobs` means anything here."""
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    truncation: Truncation | None = None
    """Echoed. Nothing is ever cut off: a prompt that does not fit is refused."""
    metadata: Annotated[dict[str, Annotated[str, Meta(max_length=512)]], Meta(max_length=16)] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    ttl: int | float | str | None = None
    """Seconds that the model stays loaded after its last request, if this request loads it; LM Studio's own."""
    draft_model: str | None = None
    """A smaller model of the same vocabulary that proposes tokens, if this request loads the model; LM Studio's own."""
    top_k: Annotated[int, Meta(ge=0, le=TOKENS_LIMIT)] | None = None
    min_p: Share | None = None
    repeat_penalty: Annotated[float, Meta(gt=0)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: int | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    """Variables for the model's chat template; llama.cpp's own."""

    @property
    def is_stored(self) -> bool:
        return self.store is not False

    @property
    def has_logprobs(self) -> bool:
        return LOGPROBS in (self.include or ())

    @property
    def items(self) -> list[Item]:
        """`input`; a text as the message that it stands for."""
        if isinstance(self.input, str):
            return [Item(role="user", content=self.input)]
        return self.input or []
