"""The registry of providers, and the provider for any `/v1`."""

from __future__ import annotations

from pathlib import Path

import pytest

import roci
from roci import LmStudioProvider, OpenAICompatibleProvider, ProviderRegistry, RociConfig, default_registry
from tests.support.canned_server import Reply, canned_server, chunk, completion
from tests.support.twins import Twin


def test_a_known_name_makes_its_provider() -> None:
    config = RociConfig(lmstudio_base_url="http://box:1234", lmstudio_token="t")
    provider = default_registry().create_provider("lmstudio", "llama3.3", config)

    assert isinstance(provider, LmStudioProvider)
    assert (provider.model_id, provider.base_url, provider.name) == ("llama3.3", "http://box:1234", "lmstudio")
    assert default_registry() is default_registry()


def test_a_program_can_add_a_provider() -> None:
    registry = ProviderRegistry()

    def factory(model_id: str, config: RociConfig, /) -> roci.ModelProvider:
        return LmStudioProvider(model_id, base_url="http://mine", config=config)

    registry.register("mine", factory)

    assert registry.provider_for("mine:a:b").model_id == "a:b"
    assert "mine" in registry.names
    with pytest.raises(roci.SelectorError):
        registry.register("a:b", factory)


def test_an_installed_package_can_add_a_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs.py").write_text(
        "import roci\n"
        "def make(model_id, config):\n"
        "    return roci.OpenAICompatibleProvider(model_id, 'http://theirs', config=config)\n"
    )
    info = tmp_path / "theirs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[roci.providers]\ntheirs = theirs:make\n")
    monkeypatch.syspath_prepend(tmp_path)

    provider = ProviderRegistry().provider_for("theirs:m")
    assert isinstance(provider, OpenAICompatibleProvider)
    assert provider.base_url == "http://theirs/v1"


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://h:1", "http://h:1/v1"),
        ("http://h:1/", "http://h:1/v1"),
        ("http://h:1/v1/", "http://h:1/v1"),
        ("https://h/api/openai", "https://h/api/openai"),
    ],
)
def test_an_address_without_a_path_gets_v1(url: str, root: str) -> None:
    assert OpenAICompatibleProvider("m", url).base_url == root


def test_any_v1_server_lists_answers_and_streams(twin: Twin) -> None:
    routes = {
        "GET /v1/models": Reply.json({"data": [{"id": "m", "max_model_len": 4096}, {"id": "n"}]}),
        "POST /v1/chat/completions": Reply.json(completion(model="m-2024-08-06")),
    }
    with canned_server(routes) as server, OpenAICompatibleProvider("m", server.url, api_key="k") as model:
        assert [info.key for info in twin.call(model, "list_models")] == ["m", "n"]
        assert twin.call(model, "describe").max_context_length == 4096
        assert twin.call(roci, "generate_text", model, "hi").warnings == ()
        server.routes["POST /v1/chat/completions"] = Reply.events(chunk("x"), chunk(finish="stop"))
        assert twin.streamed(model, roci.ProviderRequest(messages=[roci.ModelMessage.user("hi")])).text == "x"

    assert {request.headers["authorization"] for request in server.requests} == {"Bearer k"}


def test_its_own_dialect_takes_json_mode_and_a_named_tool_as_they_are(twin: Twin) -> None:
    settings = roci.GenerationSettings(
        response_format=roci.ResponseFormat.json_object(), tool_choice="f", reasoning="low"
    )
    called = {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
    routes = {"POST /v1/chat/completions": Reply.json(completion("", "tool_calls", message=called))}
    with canned_server(routes) as server, OpenAICompatibleProvider("m", server.url) as model:
        tools = [roci.ToolDefinition(name="f"), roci.ToolDefinition(name="g")]
        twin.call(roci, "generate_text", model, "hi", settings, tools=tools)

    sent = server.requests[-1].json()
    assert sent["response_format"] == {"type": "json_object"}
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert (len(sent["tools"]), sent["reasoning_effort"]) == (2, "low")


def test_the_environments_key_goes_to_the_environments_server_alone(
    twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    routes = {"POST /v1/chat/completions": Reply.json(completion())}
    with canned_server(routes) as server:
        with OpenAICompatibleProvider("m", server.url) as model:
            twin.call(roci, "generate_text", model, "hi")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        twin.call(roci, "generate_text", "openai-compatible:m", "hi")

    assert [request.headers.get("authorization") for request in server.requests] == [None, "Bearer secret"]


def test_a_model_the_server_does_not_list_is_told_the_nearest(twin: Twin) -> None:
    with canned_server({"GET /v1/models": Reply.json({"data": [{"id": "llama3.3"}]})}) as server:
        with pytest.raises(roci.ModelNotFoundError) as caught:
            twin.call(OpenAICompatibleProvider("lama3.3", server.url), "describe")

    assert caught.value.similar == ("llama3.3",)


@pytest.mark.parametrize("model", [7, None, ["lmstudio:m"]])
def test_what_is_no_model_is_an_error(model: object) -> None:
    with pytest.raises(roci.UsageError) as caught:
        roci.generate_text(model, "hi")  # pyright: ignore[reportArgumentType]

    assert caught.value.field == "model"
