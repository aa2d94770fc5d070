"""llm: a model of `extra-openai-models.yaml`, by its Python interface and by its command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from checks import PATIENCE_S, ModelCannotError, Server, run

MODELS = """\
- model_id: chat
  model_name: {model}
  api_base: {v1}
  supports_schema: true
  supports_tools: true
- model_id: responses
  model_name: {model}
  api_base: {v1}
  responses: true
  supports_schema: true
  supports_tools: true
- model_id: text
  model_name: {model}
  api_base: {v1}
  completion: true
"""
BRIEF: dict[str, Any] = {"max_tokens": 16, "temperature": 0}
SCHEMA = {"type": "object", "properties": {"good": {"type": "boolean"}}, "required": ["good"]}
_folder = tempfile.TemporaryDirectory()
os.environ["LLM_USER_PATH"] = _folder.name

import llm  # noqa: E402 -- what it reads from the environment it reads when it is imported


def model(server: Server, name: str = "chat") -> Any:
    describe(server)
    return llm.get_model(name)


def describe(server: Server) -> None:
    Path(_folder.name, "extra-openai-models.yaml").write_text(MODELS.format(model=server.model, v1=server.v1))


def check_a_prompt_is_answered_whole_and_as_a_stream(server: Server) -> None:
    for name in ("chat", "responses"):
        asked = model(server, name)
        plain = asked.prompt("Say hello.", system="Be brief.", stream=False, **BRIEF)
        assert plain.text()
        assert plain.usage().output > 0
        assert len(list(asked.prompt("Say hello.", system="Be brief.", stream=True, **BRIEF))) > 1


def check_a_text_is_completed(server: Server) -> None:
    assert model(server, "text").prompt("Once upon", max_tokens=5).text()


def check_a_conversation_goes_on(server: Server) -> None:
    talk = model(server).conversation()
    first = talk.prompt("Say hello.", **BRIEF)
    assert first.text()
    second = talk.prompt("And?", **BRIEF)
    assert second.text()
    assert second.usage().input > first.usage().input


def check_a_schema_holds(server: Server) -> None:
    for name in ("chat", "responses"):
        reply = model(server, name).prompt("Is rain good?", schema=SCHEMA, max_tokens=60, temperature=0)
        assert isinstance(json.loads(reply.text())["good"], bool)


def check_a_tool_is_run(server: Server) -> None:
    cities: list[str] = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        cities.append(city)
        return f"Rain in {city}."

    talk = model(server).conversation()
    options = {"max_tokens": 24, "temperature": 0}
    assert talk.chain("The weather? Use get_weather.", tools=[get_weather], chain_limit=3, options=options).text()
    if not cities:
        raise ModelCannotError("left to choose, it answers in words and calls no tool")


async def check_the_async_model_answers(server: Server) -> None:
    describe(server)
    asked = llm.get_async_model("chat")
    assert await asked.prompt("Say hello.", **BRIEF).text()


def check_the_command_line_answers(server: Server) -> None:
    describe(server)
    told = command("models", "list")
    assert "OpenAI Chat: chat" in told
    assert command("-m", "chat", "-o", "max_tokens", "8", "Say hello.").strip()
    assert isinstance(json.loads(command("-m", "chat", "--schema", "good bool", "Is rain good?"))["good"], bool)


def command(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "llm", *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    run(globals())
