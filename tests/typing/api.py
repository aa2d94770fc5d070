"""What type checkers see of the public API: checked by pyright, never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, assert_type

import roci


def generation(model: roci.LmStudioProvider) -> None:
    result = roci.generate_text(
        model, "hi", roci.GenerationSettings(max_tokens=5), tools=[roci.ToolDefinition(name="f")]
    )
    assert_type(result, roci.GenerateTextResult)
    assert_type(result.text, str)
    assert_type(result.usage.output_tokens, int)
    assert_type(result.tool_calls, tuple[roci.ToolCall, ...])
    roci.generate_text(roci.LanguageModel.parse("lmstudio:m"), [roci.ModelMessage.user("hi")])
    roci.generate_text("lmstudio:m", roci.ModelMessage.user(["see", roci.ImagePart("data:…")]))


def streams(model: roci.LmStudioProvider) -> None:
    with roci.stream_text(model, "hi", timeouts=roci.Timeouts(gap_s=5)) as stream:
        for delta in stream:
            assert_type(delta, roci.TextStreamDelta)
        assert_type(stream.result(), roci.GenerateTextResult)


async def twins(model: roci.LmStudioProvider) -> None:
    assert_type(await roci.agenerate_text(model, "hi"), roci.GenerateTextResult)
    async with roci.astream_text("lmstudio:m", "hi") as stream:
        async for delta in stream:
            assert_type(delta.text, str)
        assert_type(await stream.result(), roci.GenerateTextResult)
    assert_type(await model.alist_models(), list[roci.ModelInfo])


@dataclass
class Pet:
    name: str


def objects(model: roci.LmStudioProvider) -> None:
    result = roci.generate_object(model, "hi", Pet, settings=roci.GenerationSettings(seed=1), max_retries=0)
    assert_type(result, roci.GenerateObjectResult[Pet])
    assert_type(result.object, Pet)
    assert_type(roci.generate_object("lmstudio:m", "hi", list[Pet]).object, list[Pet])
    assert_type(roci.generate_object("lmstudio:m", "hi", {"type": "object"}).object, Any)
    assert_type(roci.generate_object("lmstudio:m", "hi", Literal["yes", "no"]).object, Any)
    with roci.stream_object(model, "hi", Pet) as stream:
        for partial in stream:
            assert_type(partial, Any)
        assert_type(stream.result().object, Pet)


async def object_twins(model: roci.LmStudioProvider) -> None:
    assert_type(await roci.agenerate_object(model, "hi", Pet), roci.GenerateObjectResult[Pet])
    async with roci.astream_object(model, "hi", Pet) as stream:
        async for partial in stream:
            assert_type(partial, Any)
        assert_type((await stream.result()).object, Pet)


def providers() -> None:
    provider = roci.default_registry().create_provider("lmstudio", "llama3.3", roci.RociConfig.from_env())
    assert_type(provider, roci.ModelProvider)
    request = roci.ProviderRequest(messages=[roci.ModelMessage.user("hi")], tools=None, response_format=None)
    assert_type(provider.generate_text(request), roci.ProviderResponse)
    assert_type(provider.stream_text(request), roci.TextStream)
    assert_type(provider.capabilities, roci.ModelCapabilities)
    custom = roci.LmStudioModel.custom("llama3.3")
    roci.LmStudioProvider(custom, base_url="http://localhost:1234")


async def vectors(model: roci.LmStudioProvider) -> None:
    result = roci.embed(model, ["a", "b"], dimensions=64, normalize=True)
    assert_type(result, roci.EmbedResult)
    assert_type(result.embeddings, list[list[float]])
    assert_type((await roci.aembed("lmstudio:m", "a", encoding_format="float")).embedding, list[float])
    assert_type(model.embed(roci.EmbedRequest(texts=("a",))), roci.EmbedResponse)


async def images() -> None:
    assert_type(roci.ImagePart.from_path("a.png"), roci.ImagePart)
    assert_type(roci.fetch_image("https://example.org/a.png"), roci.ImagePart)
    assert_type(await roci.afetch_image("https://example.org/a.png"), roci.ImagePart)


@roci.tool
def add(a: int, b: int = 1) -> int:
    return a + b


@roci.tool(name="later", timeout_s=None)
async def after(text: str) -> str:
    return text


async def tools(model: roci.LmStudioProvider) -> None:
    assert_type(add(1, b=2), int)
    assert_type(await after("x"), str)
    result = roci.generate_text(
        model, "hi", tools=[add, after, lambda: 1], max_steps=3, on_tool_call=lambda call: call.name == "add"
    )
    assert_type(result.steps[0].tool_calls, tuple[roci.ToolCall, ...])
    assert_type(result.steps[0].usage, roci.Usage)
    await roci.agenerate_text(model, "hi", tools=[add], execute_tools=False, on_overflow="drop_oldest")


def receipts(config: roci.RociConfig) -> None:
    model = roci.LmStudioProvider("m", retries=roci.RetryPolicy(max_retries=1), config=config)
    receipt = roci.generate_text(model, "hi", on_overflow="drop_oldest").receipt
    assert_type(receipt, roci.Receipt)
    assert_type(receipt.ignored, tuple[roci.Adjustment, ...])
    assert_type(receipt.retries, tuple[roci.Retry, ...])
    assert_type(receipt.context_limit_tokens, int | None)
    assert_type(receipt.schema, Literal["none", "enforced", "validated", "recovered"])


async def managing() -> None:
    server = roci.LmStudioServer("http://localhost:1234")
    assert_type(server.list_models(), list[roci.ModelInfo])
    assert_type(server.load_model("m", roci.LoadOptions(ttl_s=60), if_loaded="another"), roci.LoadedModel)
    assert_type(await server.alist_loaded(), list[roci.LoadedModel])
    assert_type(server.unload_model("m"), tuple[str, ...])
    assert_type(await server.adownload_model("a/b", on_progress=lambda status: status.done_bytes), roci.DownloadStatus)
    assert_type(roci.LmStudioProvider("m").server_status(), roci.ServerStatus)
