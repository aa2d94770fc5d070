"""langchain-openai: ChatOpenAI over chat and responses, and OpenAIEmbeddings."""

from __future__ import annotations

from typing import Any

import tiktoken
from checks import PATIENCE_S, ModelCannotError, Server, needs_embeddings, run
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import LengthFinishReasonError
from pydantic import BaseModel, Field

# Its tokens of a text come from a table that it would fetch. Bytes are tokens that every vocabulary has.
tiktoken.registry.ENCODINGS["cl100k_base"] = tiktoken.Encoding(
    "cl100k_base", pat_str=r"(?s).", mergeable_ranks={bytes([value]): value for value in range(256)}, special_tokens={}
)
QUESTION = "The weather in Paris?"


class Verdict(BaseModel):
    """What is thought of it."""

    good: bool = Field(description="is it good?")


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


def chat(server: Server, **more: Any) -> ChatOpenAI:
    fields: dict[str, Any] = {"max_tokens": 8, "temperature": 0, "max_retries": 0, "timeout": PATIENCE_S}
    return ChatOpenAI(model=server.model, base_url=server.v1, api_key="x", **fields | more)


def check_a_chat_is_answered(server: Server) -> None:
    reply = chat(server).invoke([SystemMessage("Be brief."), HumanMessage("Say hello.")])
    assert reply.content
    assert reply.response_metadata["finish_reason"] == "length"
    assert reply.response_metadata["model_name"] == server.model
    assert reply.usage_metadata["output_tokens"] == 8


def check_a_stream_is_put_together_and_tells_its_usage(server: Server) -> None:
    whole = added_up(list(chat(server, stream_usage=True).stream("Say hello.")))
    assert whole.content
    assert whole.response_metadata["finish_reason"] == "length"
    assert whole.usage_metadata["output_tokens"] == 8


async def check_the_async_twins_answer(server: Server) -> None:
    model = chat(server)
    reply = await model.ainvoke("Say hello.")
    whole = added_up([chunk async for chunk in model.astream("Say hello.")])
    assert whole.content
    assert reply.content


def check_a_batch_is_answered_in_order(server: Server) -> None:
    replies = chat(server, max_tokens=3).batch(["One?", "Two?", "Three?"])
    assert [reply.usage_metadata["output_tokens"] for reply in replies] == [3, 3, 3]


def check_bound_tools_are_called(server: Server) -> None:
    for choice in ("any", "get_weather"):
        reply = chat(server, max_tokens=40).bind_tools([get_weather], tool_choice=choice).invoke(QUESTION)
        (call,) = reply.tool_calls
        assert call["name"] == "get_weather"
        assert isinstance(call["args"]["city"], str)
        assert not reply.invalid_tool_calls


def check_a_streamed_call_is_put_together(server: Server) -> None:
    bound = chat(server, max_tokens=40).bind_tools([get_weather], tool_choice="any")
    whole = added_up(list(bound.stream(QUESTION)))
    (call,) = whole.tool_calls
    assert call["name"] == "get_weather"
    assert isinstance(call["args"]["city"], str)
    assert call["id"]


def check_a_free_choice_of_tools_is_answered(server: Server) -> None:
    reply = chat(server, max_tokens=24).bind_tools([get_weather]).invoke(QUESTION)
    if not reply.tool_calls:
        assert reply.content
        raise ModelCannotError("left to choose, it answers in words and calls no tool")
    assert reply.tool_calls[0]["name"] == "get_weather"


def check_a_tools_result_is_taken(server: Server) -> None:
    call = {"name": "get_weather", "args": {"city": "Paris"}, "id": "call_1"}
    turns = [HumanMessage(QUESTION), AIMessage("", tool_calls=[call]), ToolMessage("Rain.", tool_call_id="call_1")]
    reply = chat(server).bind_tools([get_weather]).invoke(turns)
    assert reply.content or reply.tool_calls


def check_structured_output_by_schema_and_by_tool(server: Server) -> None:
    for method in ("json_schema", "function_calling"):
        asked = chat(server, max_tokens=60).with_structured_output(Verdict, method=method)
        assert isinstance(asked.invoke("Is rain good?"), Verdict)


def check_structured_output_by_json_mode(server: Server) -> None:
    asked = chat(server, max_tokens=60).with_structured_output(Verdict, method="json_mode")
    try:
        assert isinstance(asked.invoke('Answer in JSON, like {"good": true}: is rain good?'), Verdict)
    except (OutputParserException, LengthFinishReasonError) as error:
        raise ModelCannotError("not shown the schema, it writes JSON of another form") from error


def check_strict_structured_output_from_a_plain_schema(server: Server) -> None:
    schema = {
        "title": "verdict",
        "type": "object",
        "properties": {"good": {"type": "boolean"}, "size": {"enum": ["small", "large"]}},
        "required": ["good", "size"],
        "additionalProperties": False,
    }
    found = chat(server, max_tokens=60).with_structured_output(schema, strict=True).invoke("Is rain good?")
    assert isinstance(found["good"], bool)
    assert found["size"] in ("small", "large")


def check_the_responses_route_works_too(server: Server) -> None:
    model = chat(server, max_tokens=16, use_responses_api=True)
    reply = model.invoke("Say hello.")
    whole = added_up(list(model.stream("Say hello.")))
    assert text_of(reply)
    assert text_of(whole)
    bound = chat(server, max_tokens=60, use_responses_api=True).bind_tools([get_weather], tool_choice="required")
    for called in (bound.invoke(QUESTION), added_up(list(bound.stream(QUESTION)))):
        (call,) = called.tool_calls
        assert call["name"] == "get_weather"
        assert isinstance(call["args"]["city"], str)


def check_a_conversation_goes_on_by_its_response_id(server: Server) -> None:
    model = chat(server, max_tokens=16, use_responses_api=True, use_previous_response_id=True)
    first = model.invoke("Say hello.")
    second = model.invoke([HumanMessage("Say hello."), first, HumanMessage("And?")])
    assert second.usage_metadata["input_tokens"] > first.usage_metadata["input_tokens"]


@needs_embeddings
def check_texts_become_vectors(server: Server) -> None:
    embeddings = OpenAIEmbeddings(
        model=server.embedding_model, base_url=server.v1, api_key="x", check_embedding_ctx_length=False, max_retries=0
    )
    texts = ["a cat", "a tax form"]
    many = embeddings.embed_documents(texts)
    assert [len(vector) for vector in many] == [384, 384]
    assert all(abs(a - b) < 1e-5 for a, b in zip(many[1], embeddings.embed_query(texts[1]), strict=True))


@needs_embeddings
def check_tokens_become_vectors(server: Server) -> None:
    embeddings = OpenAIEmbeddings(model=server.embedding_model, base_url=server.v1, api_key="x", max_retries=0)
    first, second = embeddings.embed_documents(["a cat", "a tax form"])
    assert len(first) == len(second) == 384
    assert first != second


def added_up(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


def text_of(message: AIMessage) -> str:
    return "".join(block["text"] for block in message.content if block["type"] == "text")


if __name__ == "__main__":
    run(globals())
