"""Did the prompt fit? What the server counted, beside what must have been sent at least. Pure.

A server that cuts a prompt, or answers an overflow with an empty success, says nothing of it. Both are told by numbers:
a text has at least as many tokens as it has words, in every tokenizer that does not join words, and a token that
spans more than ten letters on average is not to be had.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Final

import msgspec

from roci.errors import ContextTooLongError, EmptyReplyError, RociError, SuspectedTruncationWarning
from roci.exchange.exchange import Exchange, HttpRequest, altered
from roci.types.messages import ModelMessage, TextPart
from roci.types.models import ModelInfo
from roci.types.results import FinishReason, GenerationWarning, ProviderResponse
from roci.types.settings import Timeouts

# Prompts of fewer words than this are never suspected.
SHORT_PROMPT_TOKENS: Final = 512
# A question on the side must not hold up an answer, or another question, for long.
ASIDE: Final = Timeouts(connect_s=2.0, first_token_s=5.0, gap_s=5.0, total_s=5.0)
_LETTERS_PER_TOKEN: Final = 10
# Tokenizers that join words make about 0.87 tokens of a word.
_SUSPICIOUS_SHARE: Final = 0.75
# Long lines of one character, and lines drawn with a few, are single tokens in some vocabularies.
_RUN: Final = r"(\S{1,4}?)\1{3,}"


def fewest_tokens(messages: tuple[ModelMessage, ...]) -> int:
    """The fewest tokens that the messages' text can have; images, tools and the template's marks are not counted."""
    fewest = 0
    for message in messages:
        text = message.text
        if message.role != "tool" and text:
            text = re.sub(_RUN, r"\1", text)
            words = text.split()
            fewest += max(len(words), sum(map(len, words)) // _LETTERS_PER_TOKEN)
    return fewest


def truncation_warnings(messages: tuple[ModelMessage, ...], input_tokens: int) -> tuple[GenerationWarning, ...]:
    """Warn, in Python's way too, where the server counted far fewer tokens than the messages must have."""
    if input_tokens <= 0 or _cannot_be_cut(messages, input_tokens):
        return ()
    fewest = fewest_tokens(messages)
    if fewest < SHORT_PROMPT_TOKENS or input_tokens >= fewest * _SUSPICIOUS_SHARE:
        return ()
    message = (
        f"The server counted {input_tokens} prompt tokens, but at least {fewest} were sent: it probably cut the prompt."
    )
    warnings.warn(message, SuspectedTruncationWarning, stacklevel=2)
    return (GenerationWarning("suspected_truncation", message),)


def _cannot_be_cut(messages: tuple[ModelMessage, ...], input_tokens: int) -> bool:
    """A quick look that settles nearly every call: counts that can only be too high."""
    most = 0
    for message in messages:
        for part in message.parts:
            if isinstance(part, TextPart):
                text = part.text
                most += max(text.count(" ") + text.count("\n") + 1, len(text) // _LETTERS_PER_TOKEN)
    return most < SHORT_PROMPT_TOKENS or input_tokens >= most * _SUSPICIOUS_SHARE


def may_hide_overflow(response: ProviderResponse, messages: tuple[ModelMessage, ...]) -> bool:
    """Whether an answer is so empty that only an overflow, or a model with nothing to say, explains it."""
    if response.text or response.reasoning or response.tool_calls or response.usage.output_tokens:
        return False
    if response.finish_reason is FinishReason.LENGTH:
        return True
    if response.finish_reason not in (FinishReason.STOP, FinishReason.ERROR):
        return False
    return (response.usage.input_tokens or fewest_tokens(messages)) >= SHORT_PROMPT_TOKENS // 2


def hidden_overflow(
    response: ProviderResponse, messages: tuple[ModelMessage, ...], limit_tokens: int | None
) -> ContextTooLongError | None:
    """The overflow behind an empty answer; None where the numbers do not speak for one."""
    given = response.usage.input_tokens or fewest_tokens(messages)
    is_full = limit_tokens is not None and given + 1 >= limit_tokens
    # Who stops for want of room, having written nothing, had none: `max_tokens` is one at least.
    had_no_room = response.finish_reason is FinishReason.LENGTH and response.usage.input_tokens > 0
    if not (is_full or had_no_room):
        return None
    return ContextTooLongError(
        f"The server answered with an empty success: the prompt of {response.usage.input_tokens or f'{given} or more'} "
        f"tokens leaves no room in the model's context{f' of {limit_tokens}' if limit_tokens else ''}.",
        limit_tokens=limit_tokens,
        given_tokens=given,
        status=200,
        code="context_length_exceeded",
        hint="Shorten the conversation, or load the model with a longer context.",
    )


def answered(
    generation: Exchange[ProviderResponse], examine: Callable[[ProviderResponse], Exchange[RociError | None]]
) -> Exchange[ProviderResponse]:
    """What `generation` returns, unless that is so empty that it hides a failure, which is raised."""
    try:
        response = yield from generation
    except EmptyReplyError as empty:
        failure = yield from examine(ProviderResponse(finish_reason=FinishReason.ERROR))
        raise failure or empty from None
    failure = yield from examine(response)
    if failure is not None:
        raise failure
    return response


def hidden_failure(
    response: ProviderResponse,
    messages: tuple[ModelMessage, ...],
    limit_tokens: int | None,
    describe: Callable[[], Exchange[ModelInfo]],
) -> Exchange[RociError | None]:
    """The overflow that an empty answer hides, if the numbers speak for it; asks the server for an unknown limit."""
    if not may_hide_overflow(response, messages):
        return None
    limit = response.receipt.context_limit_tokens or limit_tokens
    if limit is None:
        try:
            info = yield from altered(describe(), _aside)
            limit = info.loaded_context_length or info.max_context_length
        except RociError:
            # The question was about a call that failed; that it cannot be answered changes nothing about it.
            limit = None
    return hidden_overflow(response, messages, limit)


def _aside(request: HttpRequest) -> HttpRequest:
    return msgspec.structs.replace(request, timeouts=ASIDE)
