"""One request to a worker whose reply is one JSON document: embeddings, scores, tokens."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from roci.errors import ConnectionLostError, UnexpectedReplyError
from roci.server.generating import worker_death
from roci.server.off_loop import off_loop
from roci.server.pool.pool import ModelPool, Worker
from roci.server.worker_errors import worker_error
from roci.server.worker_stream import ask_worker

T = TypeVar("T")


async def ask_worker_json(pool: ModelPool, worker: Worker, path: str, body: Any, reply_type: type[T]) -> T:
    """What the worker answers to `body`. It works on to the end of it even if the asker leaves: ask for little.

    Raises:
        BadRequestError: the worker refuses it.
        WorkerDiedError: the worker ended.
        ServerFailedError: the engine failed.
    """
    try:
        async with ask_worker(worker.ready.socket_path, path, msgspec.json.encode(body)) as reply:
            if reply.status != 200:
                raise worker_error(await reply.read_error(), reply.status)
            told = await reply.read_whole()
    except ConnectionLostError as error:
        raise await worker_death(pool, worker) from error
    try:
        return await off_loop(len(told), msgspec.json.decode, told, type=reply_type)
    except msgspec.DecodeError as error:
        raise UnexpectedReplyError(f"The engine's reply to {path} is of another form than known: {error}.") from error
