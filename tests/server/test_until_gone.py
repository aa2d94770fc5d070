"""Work for a client ends with the client, and everybody else's wishes hold as well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from roci.errors import ServerFailedError
from roci.server.until_gone import until_gone


class Client:
    """A client that leaves when it is told to."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()

    async def receive(self) -> Any:
        await self.leaves.wait()
        return {"type": "http.disconnect"}


def run(story: Callable[[Client], Awaitable[None]]) -> None:
    """Runs the story; nothing that it began may be left."""

    async def told() -> None:
        await story(Client())
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(told())


async def for_ever() -> None:
    await asyncio.Event().wait()


def test_work_comes_to_its_end_for_a_client_that_stays():
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append("done")

    async def story(client: Client) -> None:
        assert await until_gone(client.receive, work())
        assert done == ["done"]

    run(story)


def test_work_is_cancelled_when_the_client_leaves():
    ends: list[str] = []

    async def work() -> None:
        try:
            await for_ever()
        finally:
            ends.append("cleaned up")

    async def story(client: Client) -> None:
        asyncio.get_running_loop().call_later(0.01, client.leaves.set)
        assert not await until_gone(client.receive, work())
        assert ends == ["cleaned up"]
        await asyncio.sleep(0.01)  # the request goes on: nobody else cancelled it
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(story)


def test_a_client_that_had_left_before_the_work_began_ends_it():
    async def story(client: Client) -> None:
        client.leaves.set()
        assert not await until_gone(client.receive, for_ever())

    run(story)


def test_what_goes_wrong_in_the_work_is_raised():
    async def work() -> None:
        await asyncio.sleep(0)
        raise ServerFailedError("No.")

    async def story(client: Client) -> None:
        with pytest.raises(ServerFailedError):
            await until_gone(client.receive, work())

    run(story)


def test_who_cancels_the_request_is_heard():
    async def story(client: Client) -> None:
        request = asyncio.create_task(until_gone(client.receive, for_ever()))
        await asyncio.sleep(0.01)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    run(story)


def test_who_cancels_the_request_as_the_client_leaves_is_heard_too():
    async def story(client: Client) -> None:
        async def work() -> None:
            try:
                await for_ever()
            finally:
                request.cancel()

        request = asyncio.create_task(until_gone(client.receive, work()))
        await asyncio.sleep(0.01)
        client.leaves.set()
        with pytest.raises(asyncio.CancelledError):
            await request

    run(story)


def test_a_time_limit_inside_of_the_work_is_its_own():
    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await for_ever()

    async def story(client: Client) -> None:
        assert await until_gone(client.receive, work())

    run(story)
