"""What type checkers see of the public API: checked by pyright, never run."""

from __future__ import annotations

from typing import assert_type

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


def providers() -> None:
    provider = roci.default_registry().create_provider("lmstudio", "llama3.3", roci.RociConfig.from_env())
    assert_type(provider, roci.ModelProvider)
    request = roci.ProviderRequest(messages=[roci.ModelMessage.user("hi")], tools=None, response_format=None)
    assert_type(provider.generate_text(request), roci.ProviderResponse)
    assert_type(provider.stream_text(request), roci.TextStream)
    assert_type(provider.capabilities, roci.ModelCapabilities)
    custom = roci.LmStudioModel.custom("llama3.3")
    roci.LmStudioProvider(custom, base_url="http://localhost:1234")
