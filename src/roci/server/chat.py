"""One chat completion: a place in a model, the worker's stream, and the client's reply."""

from __future__ import annotations

from typing import Any, Final

from litestar.types import Receive, Scope, Send

from roci.engine.library import LocalModel
from roci.engine.worker_process import WorkerReady
from roci.errors import ConnectionLostError, RociError, ServerFailedError
from roci.server.error_replies import stream_event
from roci.server.frames import FrameScanner
from roci.server.off_loop import off_loop
from roci.server.pool.decide import shutting_down
from roci.server.pool.pool import ModelPool, Worker
from roci.server.until_gone import until_gone
from roci.server.worker_errors import worker_error
from roci.server.worker_stream import WorkerReply, ask_worker
from roci.wire.openai.assemble import ChatAssembler
from roci.wire.openai.request_faults import invalid
from roci.wire.openai.requests import ChatRequest, worker_body

_END: Final[Any] = {"type": "http.response.body", "body": b"", "more_body": False}
_STREAM_START: Final[Any] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ],
}


class ChatAnswer:
    """The reply to a chat request, as an ASGI application: it queues, asks and answers when it is run.

    All of it is one nest of blocks, so that a client who leaves at any point leaves nothing behind.
    """

    def __init__(self, pool: ModelPool, model: LocalModel, request: ChatRequest, body: bytes) -> None:
        self._pool = pool
        self._model = model
        self._request = request
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["model"] = self._model.key  # for the request log
        scope["state"]["client_left"] = not await until_gone(receive, self._answer(send))

    async def _answer(self, send: Send) -> None:
        async with self._pool.place(self._model, self._request.answers) as worker:
            check_abilities(self._request, worker.ready)
            body = await off_loop(len(self._body), worker_body, self._body, self._request, worker.key)
            try:
                async with ask_worker(worker.ready.socket_path, "/v1/chat/completions", body) as reply:
                    if reply.status != 200 or reply.content_type != "text/event-stream":
                        raise worker_error(await reply.read_error(), reply.status)
                    if self._request.stream:
                        await self._pass_on(worker, reply, send)
                    else:
                        await self._answer_whole(worker, reply, send)
            except ConnectionLostError as error:
                raise await self._death(worker) from error

    async def _pass_on(self, worker: Worker, reply: WorkerReply, send: Send) -> None:
        scanner = FrameScanner(with_progress=bool(self._request.return_progress))
        has_begun = False
        failure: RociError | None = None
        try:
            async for piece in reply:
                events = scanner.feed(piece)
                if events:
                    if not has_begun:
                        await send(_STREAM_START)
                        has_begun = True
                    await send({"type": "http.response.body", "body": events, "more_body": True})
                if scanner.is_done:
                    break
        except RociError as error:
            failure = error
        if not scanner.is_done:
            failure = await self._failure(worker, scanner.error, failure)
            if not has_begun:
                raise failure
            await send({"type": "http.response.body", "body": stream_event(failure), "more_body": True})
        else:
            await reply.wait_until_let_go()
        await send(_END)

    async def _answer_whole(self, worker: Worker, reply: WorkerReply, send: Send) -> None:
        assembler = ChatAssembler()
        failure: RociError | None = None
        try:
            async for piece in reply:
                assembler.feed(piece)
                if assembler.is_done:
                    break
        except RociError as error:
            failure = error
        if not assembler.is_done:
            raise await self._failure(worker, assembler.error, failure)
        if not assembler.is_whole:
            raise ServerFailedError("The engine ended its answer without a finish reason.")
        await reply.wait_until_let_go()
        body = assembler.reply()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _failure(self, worker: Worker, told: bytes | None, raised: RociError | None) -> RociError:
        """Why a stream ended before its end."""
        if told is not None:
            return worker_error(told)
        if raised is not None and not isinstance(raised, ConnectionLostError):
            return raised
        return await self._death(worker)

    async def _death(self, worker: Worker) -> RociError:
        return shutting_down() if self._pool.is_closing and worker.is_unwanted else await worker.death()


def check_abilities(request: ChatRequest, ready: WorkerReady) -> None:
    """Refuses what this model cannot do and the engine would drop without a word, or take for a fault of its own.

    Raises:
        BadRequestError: names the field.
    """
    if request.tools and not ready.supports_tools:
        raise invalid(
            f"The chat template of {request.model} has no tools, so that the model would never see them.",
            "tools",
            code="tools_not_supported",
            hint="Ask without tools, or take a model that was trained for them.",
        )
    if (request.has_images or request.has_audio) and not ready.supports_vision:
        kind = "images" if request.has_images else "audio"
        raise invalid(f"{request.model} takes text only, no {kind}.", "messages", code=f"{kind}_not_supported")
    if request.answers > ready.parallel:
        raise invalid(f"n is {request.n}; {request.model} makes {ready.parallel} answers at once at most.", "n")
