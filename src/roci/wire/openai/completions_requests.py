"""What a client may ask of `/v1/completions`, and the body that a worker is sent for it. No chat template is involved.

Source: OpenAI API reference, completions (legacy); llama.cpp's server, by trying.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias, get_args

import msgspec
from msgspec import Meta, Raw, Struct

from roci.wire.openai.request_faults import decode_body, invalid
from roci.wire.openai.requests import (
    ChatRequest,
    FormatKind,
    Penalty,
    ResponseFormatSpec,
    Share,
    StreamOptions,
    Temperature,
    check_chat_request,
)
from roci.wire.schema.plan import SchemaPlan, plan_schema

PROMPTS_LIMIT: Final = 2048
_AS_THEY_ARE: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "logit_bias",
)
_OF_BOTH: Final = (*_AS_THEY_ARE, "model", "max_tokens", "n", "response_format", "ttl", "draft_model")
# Slots are the gateway's to give, and the prompt is the field of that name alone.
_NOT_FORWARDED: Final = frozenset({"id_slot", "messages", "input", "input_prefix", "input_suffix", "preset"})

TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Prompt: TypeAlias = str | list[int] | list[int | str]
"""A text, or the ids of tokens, among which may be texts."""


class CompletionRequest(Struct, kw_only=True):
    """The body of `POST /v1/completions`. A null means the same as a field that is absent."""

    model: str = ""
    prompt: str | Annotated[list[TokenId | str | list[TokenId]], Meta(min_length=1)]
    """A text; token ids; or a list of such prompts, each of which is answered."""
    suffix: str | None = None
    """What comes behind the answer, for models that were trained to fill in."""
    max_tokens: int | None = None
    """From 1; null and -1 are no limit but the context."""
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: int | None = None
    min_p: Share | None = None
    repeat_penalty: Annotated[float, Meta(gt=0)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: int | None = None
    n: Annotated[int, Meta(ge=1)] | None = None
    """Answers for each prompt."""
    best_of: Annotated[int, Meta(ge=1)] | None = None
    """Must be `n`: no answers are made only to be thrown away."""
    stop: str | list[str] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | bool | None = None
    """How many of the likeliest tokens to tell at each place; 0: only the token that was taken."""
    echo: bool | None = None
    """Put the prompt before the answer."""
    logit_bias: dict[str, float | bool] | list[tuple[int | str, float | bool]] | None = None
    response_format: ResponseFormatSpec | None = None
    """The answer's form, as with chats; not OpenAI's."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    ttl: int | float | str | None = None
    """Seconds that the model stays loaded after its last request, if this request loads it; LM Studio's own."""
    draft_model: str | None = None
    """A smaller model of the same vocabulary that proposes tokens, if this request loads the model; LM Studio's own."""

    @property
    def answers(self) -> int:
        """Answers for each prompt."""
        return self.n or 1

    @property
    def prompts(self) -> list[Prompt]:
        """Each of them, in order."""
        prompt = self.prompt
        if isinstance(prompt, str):
            return [prompt]
        if any(isinstance(item, int) for item in prompt):
            return [[item for item in prompt if not isinstance(item, list)]]
        return [item for item in prompt if not isinstance(item, int)]

    @property
    def likeliest(self) -> int | None:
        """Tokens to tell at each place beside the one that was taken; None: no logprobs at all."""
        if isinstance(self.logprobs, bool):
            return 0 if self.logprobs else None
        return self.logprobs


class CompletionAsk(Struct, kw_only=True):
    """A completion as the engine path takes it."""

    request: CompletionRequest
    chat: ChatRequest
    """What it has in common with a chat, by which its model is found. It has no messages."""
    forwarded: dict[str, Raw]
    """Fields of the engine's own that go to the worker as they came."""
    schema: SchemaPlan
    size_bytes: int


_CHOICES: Final[dict[str, tuple[str, ...]]] = {"response_format.type": get_args(FormatKind)}
_KNOWN: Final = frozenset(CompletionRequest.__struct_fields__)

_decoder: Final = msgspec.json.Decoder(CompletionRequest)
_raw_decoder: Final = msgspec.json.Decoder(dict[str, Raw])


def decode_completion(body: bytes) -> CompletionAsk:
    """The request in `body`, checked as far as it can be without the model. Unknown fields are for the engine.

    Raises:
        BadRequestError: `.param` is the path of the field at fault, None where there is none.
    """
    request = decode_body(body, _decoder, _CHOICES)
    chat = ChatRequest(messages=[], **{name: getattr(request, name) for name in _OF_BOTH})
    check_chat_request(chat)
    _check(request)
    others = {
        name: raw
        for name, raw in _raw_decoder.decode(body).items()
        if name not in _KNOWN and name not in _NOT_FORWARDED
    }
    return CompletionAsk(request=request, chat=chat, forwarded=others, schema=plan_schema(chat), size_bytes=len(body))


def worker_completion_body(
    asked: CompletionAsk, prompts: Sequence[Prompt], model: str, *, defaults: Mapping[str, Any]
) -> bytes:
    """The JSON body of the worker's `/v1/completions`: a stream, because only that can be cancelled at once.

    Args:
        prompts: those of this call, as the model is to read them.
        model: the worker's own name for its model.
        defaults: sampling settings of the model, where the request says nothing.
    """
    request = asked.request
    body: dict[str, Any] = {**asked.forwarded, **defaults}
    for name in _AS_THEY_ARE:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.max_tokens is not None and request.max_tokens > 0:
        body["max_tokens"] = request.max_tokens
    if request.likeliest is not None:
        body["logprobs"] = max(request.likeliest, 1)  # with 0 the engine would tell nothing
    wanted = asked.schema.chat.response_format
    if wanted is not None and wanted.json_schema is not None:
        body["json_schema"] = wanted.json_schema.schema  # the engine ignores `response_format` on this route
    body |= {"model": model, "n": request.answers, "stream": True, "return_progress": True}
    body["prompt"] = prompts[0] if len(prompts) == 1 else prompts
    return msgspec.json.encode(body)


def _check(request: CompletionRequest) -> None:
    prompt = request.prompt
    if isinstance(prompt, list):
        lists = sum(isinstance(item, list) for item in prompt)
        if lists and any(isinstance(item, int) for item in prompt):
            raise invalid("prompt mixes token ids with lists of them; it takes one or the other.", "prompt")
        if lists and not all(prompt):
            raise invalid("prompt holds an empty prompt; each takes a text or token ids.", "prompt")
    prompts = request.prompts
    if len(prompts) > PROMPTS_LIMIT:
        raise invalid(f"prompt holds {len(prompts)} prompts; it takes {PROMPTS_LIMIT} at most.", "prompt")
    if request.best_of is not None and request.best_of != request.answers:
        raise invalid(
            f"best_of is {request.best_of}; answers are not made to be thrown away, so it takes the value of n only.",
            "best_of",
            hint="Ask for n answers and choose by their logprobs.",
        )
    if request.echo and request.likeliest is not None:
        raise invalid("echo with logprobs would need those of the prompt, which the engine does not give.", "echo")
    if request.suffix and not all(isinstance(one, str) for one in prompts):
        raise invalid("suffix needs a prompt of text.", "suffix")
