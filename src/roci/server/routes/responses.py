"""OpenAI's `/v1/responses`, with the answers that it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Response
from litestar.types import ASGIApp
from msgspec import Raw
from msgspec.structs import replace

from roci.errors import BadRequestError
from roci.server.answer import Answer
from roci.server.gateway import Gateway
from roci.server.mcp.allowed import responses_servers
from roci.server.mcp.rounds import ToolRounds
from roci.server.mcp.spec import WantedServer
from roci.server.mcp.toolbox import Toolbox
from roci.server.off_loop import off_loop
from roci.server.openapi import BUSY, REFUSED, Operation, path_parameter, query_parameter
from roci.server.own_paths import OwnPaths
from roci.server.posts import post
from roci.server.prompt_count import count_prompt
from roci.server.state.conversations import Thread, Turn
from roci.server.state.kept_answer import KeptAnswer
from roci.server.target import Target
from roci.server.whole_reply import WholeReply
from roci.wire.ask import Ask
from roci.wire.generation import Transcript
from roci.wire.openai.history import answer_messages
from roci.wire.openai.request_faults import invalid
from roci.wire.openai.requests import ChatMessage
from roci.wire.openai.responses_ask import responses_ask, responses_path
from roci.wire.openai.responses_checks import decode_responses_request
from roci.wire.openai.responses_input import given_images, listed_items, messages_of
from roci.wire.openai.responses_replies import (
    EVENT_NAMES,
    DeletedResponse,
    InputItems,
    InputTokens,
    ResponseReply,
    page_of,
)
from roci.wire.openai.responses_requests import ResponsesRequest
from roci.wire.openai.responses_writer import ResponsesWriter
from roci.wire.reply_writer import Begun

_PAGE_LIMIT: Final = 100
_items_decoder: Final = msgspec.json.Decoder(list[dict[str, Any]])


@post("/v1/responses")
async def create_response(gateway: Gateway, body: bytes) -> ASGIApp:
    """Refuses what can be refused without the model; the rest happens while the reply is sent."""
    asked, thread, added, ask = await _read(gateway, body)
    if asked.is_stored:
        gateway.conversations.check_room(thread, added)
    servers = responses_servers(asked, gateway.settings)
    target = await gateway.find_chat(ask)
    toolbox = Toolbox()
    exchange = _Exchange(asked, added, target, toolbox)
    rounds = ToolRounds(gateway, target, ask, servers, toolbox, max_calls=asked.max_tool_calls)
    answer = Answer(
        gateway,
        target,
        ask,
        exchange.writer,
        stream=bool(asked.stream),
        source=rounds if servers else None,
        on_end=exchange.note_end if asked.is_stored else None,
    )
    kept = KeptAnswer(answer, gateway.conversations, exchange.ended_turn)
    return OwnPaths(kept, lambda path: responses_path(asked, path))


@post("/v1/responses/input_tokens")
async def count_input_tokens(gateway: Gateway, body: bytes) -> ASGIApp:
    asked, _, _, ask = await _read(gateway, body)
    servers = responses_servers(asked, gateway.settings)
    target = await gateway.find_chat(ask)
    counted = WholeReply(lambda: _input_tokens(gateway, target, ask, servers), model=target.instance.id)
    return OwnPaths(counted, lambda path: responses_path(asked, path))


@get("/v1/responses/{response_id:str}")
async def get_response(
    gateway: NamedDependency[Gateway], response_id: FromPath[str], stream: FromQuery[bool | None] = None
) -> Response[bytes]:
    if stream:
        raise invalid("stream is true; an answer that was kept is told whole.", "stream")
    kept = gateway.conversations.reply(response_id)
    if kept is None:
        raise _not_found(response_id)
    return Response(kept, media_type="application/json")


@delete("/v1/responses/{response_id:str}", status_code=200)
async def delete_response(gateway: NamedDependency[Gateway], response_id: FromPath[str]) -> DeletedResponse:
    if not gateway.conversations.delete(response_id):
        raise _not_found(response_id)
    return DeletedResponse(id=response_id)


@get("/v1/responses/{response_id:str}/input_items")
async def list_input_items(
    gateway: NamedDependency[Gateway],
    response_id: FromPath[str],
    after: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=_PAGE_LIMIT)] = 20,
    order: FromQuery[Literal["asc", "desc"]] = "desc",
) -> InputItems:
    kept = gateway.conversations.input_items(response_id)
    if kept is None:
        raise _not_found(response_id)
    items = await off_loop(len(kept), _items_decoder.decode, kept)
    return page_of(items, after=after, limit=limit, newest_first=order == "desc")


class _Exchange:
    """One request and its answer, until the turn that is kept of them is known."""

    def __init__(self, asked: ResponsesRequest, added: list[ChatMessage], target: Target, toolbox: Toolbox) -> None:
        self.writer = ResponsesWriter(asked, sampling=target.sampling, listed=toolbox.listed, served=toolbox.served)
        self._asked = asked
        self._added = added
        self._ended: tuple[Begun, Transcript] | None = None

    async def note_end(self, begun: Begun, transcript: Transcript) -> None:
        self._ended = begun, transcript

    def ended_turn(self) -> Turn | None:
        if self._ended is None or self.writer.final is None:
            return None
        begun, transcript = self._ended
        return Turn(
            id=f"resp_{begun.id}",
            previous_id=self._asked.previous_response_id,
            model=begun.model,
            messages=[*self._added, *answer_messages(transcript.choice())],
            reply=Raw(self.writer.final),
            input_items=listed_items(self._asked.items),
        )


async def _read(gateway: Gateway, body: bytes) -> tuple[ResponsesRequest, Thread | None, list[ChatMessage], Ask]:
    """The request; the thread that it goes on from; its own messages; and what the engine is asked."""
    asked = await off_loop(len(body), decode_responses_request, body)
    await gateway.images.settle(given_images(asked.items))
    previous_id = asked.previous_response_id
    thread = await gateway.conversations.thread(previous_id) if previous_id is not None else None
    said = thread.messages if thread is not None else []
    size_bytes = len(body) + (thread.size_bytes if thread is not None else 0)
    added = await off_loop(len(body), messages_of, asked.items, said)
    ask = responses_ask(asked, [*said, *added])
    ask.size_bytes = size_bytes
    return asked, thread, added, ask


async def _input_tokens(gateway: Gateway, target: Target, ask: Ask, servers: Sequence[WantedServer]) -> InputTokens:
    with ExitStack() as stack:
        chat = await Toolbox().connect(gateway.mcp, servers, ask.chat, stack)
        return InputTokens(input_tokens=await count_prompt(gateway, target, replace(ask, chat=chat)))


def _not_found(response_id: str) -> BadRequestError:
    return BadRequestError(
        f"There is no response {response_id[:80]!r}.",
        status=404,
        code="response_not_found",
        param="response_id",
        hint="It was never kept, was deleted, or is too old.",
    )


_RESPONSE_ID: Final = path_parameter("response_id", "`resp_` and 48 hexadecimal digits.")
HANDLERS: Final = (create_response, count_input_tokens, get_response, delete_response, list_input_items)
OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/responses",
        summary="Answer, and keep the answer so that it can be continued.",
        description="With `stream` the answer comes as events, from `response.created` to `response.completed` or "
        "`response.incomplete`. A stream that breaks ends with `response.failed` and `error`. Fields that are not "
        "described here are ignored.",
        request=ResponsesRequest,
        reply=ResponseReply,
        is_stream=True,
        events=EVENT_NAMES,
        statuses=(*REFUSED, "502", *BUSY),
    ),
    Operation(
        method="POST",
        path="/v1/responses/input_tokens",
        summary="How many tokens the model would see of a request to /v1/responses.",
        description="Loads the model if need be, and generates nothing.",
        request=ResponsesRequest,
        reply=InputTokens,
        statuses=(*REFUSED, "502", *BUSY),
    ),
    Operation(
        method="GET",
        path="/v1/responses/{response_id}",
        summary="An answer that was kept.",
        reply=ResponseReply,
        parameters=(_RESPONSE_ID,),
    ),
    Operation(
        method="DELETE",
        path="/v1/responses/{response_id}",
        summary="Forget an answer. What was said in it stays part of answers that go on from it.",
        reply=DeletedResponse,
        parameters=(_RESPONSE_ID,),
    ),
    Operation(
        method="GET",
        path="/v1/responses/{response_id}/input_items",
        summary="What was asked for an answer that was kept; not what came before it in the conversation.",
        reply=InputItems,
        parameters=(
            _RESPONSE_ID,
            query_parameter("after", "The id of the item before the first.", {"type": "string"}),
            query_parameter("limit", "Items at most.", {"type": "integer", "minimum": 1, "maximum": _PAGE_LIMIT}),
            query_parameter("order", "Default: desc, the last first.", {"type": "string", "enum": ["asc", "desc"]}),
        ),
    ),
)
