"""instructor over openai's client: by a forced tool, by a schema, by JSON mode; partly, and in lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import instructor
from checks import PATIENCE_S, ModelCannotError, Server, run
from instructor.core import IncompleteOutputException, InstructorRetryException
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

BY_FORCE = (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA)


class Verdict(BaseModel):
    good: bool


def made(server: Server, mode: instructor.Mode, kind: type[Any] = OpenAI) -> Any:
    return instructor.from_openai(kind(base_url=server.v1, api_key="x", max_retries=0, timeout=PATIENCE_S), mode=mode)


def asked(server: Server, **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "model": server.model,
        "messages": [{"role": "user", "content": "Is rain good?"}],
        "response_model": Verdict,
        "max_tokens": 60,
        "temperature": 0,
        "max_retries": 0,
    }
    return fields | more


def check_a_model_comes_by_a_tool_and_by_a_schema(server: Server) -> None:
    for mode in BY_FORCE:
        assert isinstance(made(server, mode).chat.completions.create(**asked(server)), Verdict)


def check_the_completion_comes_with_it(server: Server) -> None:
    client = made(server, instructor.Mode.TOOLS)
    verdict, completion = client.chat.completions.create_with_completion(**asked(server))
    assert isinstance(verdict, Verdict)
    assert completion.usage.completion_tokens > 0


def check_a_model_is_streamed_in_parts(server: Server) -> None:
    for mode in BY_FORCE:
        parts = list(made(server, mode).chat.completions.create_partial(**asked(server)))
        assert isinstance(parts[-1].good, bool)


async def check_the_async_client_works_too(server: Server) -> None:
    client = made(server, instructor.Mode.JSON_SCHEMA, AsyncOpenAI)
    assert isinstance(await client.chat.completions.create(**asked(server)), Verdict)


def check_a_list_of_models_is_streamed(server: Server) -> None:
    client = made(server, instructor.Mode.TOOLS)
    try:
        for verdict in client.chat.completions.create(**asked(server, response_model=Iterable[Verdict], stream=True)):
            assert isinstance(verdict, Verdict)
            return
    except (IncompleteOutputException, InstructorRetryException) as error:
        raise ModelCannotError("asked for a list it does not come to its first entry's end") from error
    raise ModelCannotError("asked for a list, it gives an empty one")


def check_json_mode(server: Server) -> None:
    try:
        verdict = made(server, instructor.Mode.JSON).chat.completions.create(**asked(server, max_tokens=24))
    except (IncompleteOutputException, InstructorRetryException) as error:
        raise ModelCannotError("told of a schema in words alone, it writes JSON of another form") from error
    assert isinstance(verdict, Verdict)


def check_a_model_comes_by_the_responses_route(server: Server) -> None:
    client = made(server, instructor.Mode.RESPONSES_TOOLS)
    body = asked(server)
    body["max_output_tokens"] = body.pop("max_tokens")
    body["input"] = body.pop("messages")
    assert isinstance(client.responses.create(**body), Verdict)


if __name__ == "__main__":
    run(globals())
