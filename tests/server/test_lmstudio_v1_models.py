"""Lists of models, loads and deletions over `/api/v1`, `/api/v0` and `/v1`, with workers that have no engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from roci.wire.lmstudio.convert import v0_models, v1_models
from tests.server.conftest import Gateway, GatewayMaker, chat, model_file
from tests.server.test_lmstudio_v1 import error, events
from tests.support.compatibility import compatible
from tests.support.tiny_gguf import write_tiny_gguf
from tests.support.workers import is_running, wait_for_event, wait_until

THINKING = (
    "{% for message in messages %}{{ message.role }}{% endfor %}{% for tool in tools %}{{ tool }}{% endfor %}"
    "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}"
)


def fill(home: Path) -> None:
    """Gives the usual second model another variant; adds vectors, eyes, a thinker and a broken file."""
    folder = model_file(home, "second").parent
    (folder / "second.gguf").rename(folder / "second-Q8_0.gguf")
    write_tiny_gguf(folder / "second-Q4_K_M.gguf", chat_template=THINKING)
    write_tiny_gguf(model_file(home, "vectors"), architecture="bert")
    write_tiny_gguf(model_file(home, "with-eyes"))
    projector = {"general.type": "mmproj", "clip.has_vision_encoder": True}
    write_tiny_gguf(model_file(home, "with-eyes").with_name("mmproj-f16.gguf"), architecture="clip", more=projector)
    write_tiny_gguf(model_file(home, "thinker"), chat_template=THINKING)
    broken = model_file(home, "broken")
    broken.parent.mkdir()
    broken.write_bytes(b"GGUF")


@pytest.fixture
def home(home: Path) -> Path:
    fill(home)
    return home


@pytest.fixture(scope="module")
def filled(lasting_gateway: Gateway) -> Gateway:
    """For tests that load and delete nothing."""
    fill(lasting_gateway.home)
    return lasting_gateway


def native(gateway: Gateway) -> dict[str, dict[str, Any]]:
    return {model["key"]: model for model in gateway.client.get("/api/v1/models").json()["models"]}


def ids(gateway: Gateway, path: str) -> list[str]:
    return [entry["id"] for entry in gateway.client.get(path).json()["data"]]


def load(gateway: Gateway, model: str = "first", **more: Any) -> dict[str, Any]:
    reply = gateway.client.post("/api/v1/models/load", json={"model": model, **more})
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_api_v1_lists_every_model_with_its_abilities_and_state(filled: Gateway):
    models = native(filled)
    assert list(models) == ["broken", "first", "second", "thinker", "vectors", "with-eyes"]
    first, vectors = models["first"], models["vectors"]
    assert (first["type"], first["publisher"], first["format"], first["max_context_length"]) == (
        "llm",
        "tests",
        "gguf",
        2048,
    )
    assert first["quantization"]["name"] == "Q8_0"
    assert first["loaded_instances"] == []
    assert first["capabilities"] == {"vision": False, "trained_for_tool_use": False}
    assert first["created"] > 0
    assert vectors["type"] == "embedding"
    assert not {"architecture", "capabilities", "description"} & set(vectors)
    assert models["with-eyes"]["capabilities"]["vision"] is True
    assert (models["broken"]["file_state"], first["file_state"]) == ("broken", "ok")
    assert models["broken"]["file_problem"]


@compatible("GET /api/v1/models", "`variants`, `selected_variant`", "same")
def test_the_variants_of_a_model_are_one_entry(filled: Gateway):
    second = native(filled)["second"]
    assert sorted(second["variants"]) == ["second@q4_k_m", "second@q8_0"]
    assert second["selected_variant"] in second["variants"]
    chosen = filled.client.get(f"/api/v1/models/{second['selected_variant']}").json()
    assert chosen == second == filled.client.get("/api/v1/models/tests/second").json()


def test_abilities_come_from_the_template(filled: Gateway):
    assert native(filled)["thinker"]["capabilities"] == {
        "vision": False,
        "trained_for_tool_use": True,
        "reasoning": {"allowed_options": ["off", "on"], "default": "on"},
    }


def test_the_sdk_reads_what_the_server_lists(gateway: Gateway):
    gateway.ask(chat())
    reply = gateway.client.get("/api/v1/models")
    infos = {info.key: info for info in v1_models(reply.content, reply.headers["content-type"])}
    assert infos["first"].loaded_context_length == 2048
    assert infos["vectors"].kind == "embedding"
    assert infos["with-eyes"].capabilities.vision
    reply = gateway.client.get("/api/v0/models")
    infos = {info.key: info for info in v0_models(reply.content, reply.headers["content-type"])}
    assert (infos["first"].is_loaded, infos["second"].is_loaded) == (True, False)
    assert infos["vectors"].kind == "embedding"


def test_with_loading_on_demand_all_that_can_be_asked_is_listed(filled: Gateway):
    expected = {"first", "second", "vectors", "with-eyes"}
    for path in ("/v1/models", "/api/v0/models"):
        found = ids(filled, path)
        assert expected <= set(found)
        assert [name for name in found if name.startswith("second@")]
        assert "broken" not in found


def test_without_it_only_what_is_loaded_is_listed(make_gateway: GatewayMaker):
    with make_gateway(jit=False) as gateway:
        assert ids(gateway, "/v1/models") == ids(gateway, "/api/v0/models") == []
        assert len(native(gateway)) == 6
        refused = error(gateway.client.post("/api/v1/chat", json={"model": "first", "input": "hi"}), 400)
        assert refused["code"] == "model_not_loaded"
        load(gateway, identifier="mine")
        for path in ("/v1/models", "/api/v0/models"):
            assert "mine" in ids(gateway, path)
            assert "second" not in ids(gateway, path)
        reply = gateway.client.post("/api/v1/chat", json={"model": "mine", "input": "hi"})
        assert reply.json()["model_instance_id"] == "mine"


def test_one_model_has_the_shape_of_its_family(gateway: Gateway):
    load(gateway, identifier="mine", context_length=1024)
    entry = gateway.client.get("/v1/models/mine").json()
    assert entry | {"created": 0} == {
        "id": "mine",
        "object": "model",
        "created": 0,
        "owned_by": "organization_owner",
        "type": "llm",
        "state": "loaded",
        "max_context_length": 2048,
        "loaded_context_length": 1024,
    }
    eyes = gateway.client.get("/api/v0/models/with-eyes").json()
    assert (eyes["type"], eyes["state"], eyes["arch"]) == ("vlm", "not-loaded", "llama")
    assert "loaded_context_length" not in eyes
    assert gateway.client.get("/api/v0/models/vectors").json()["type"] == "embeddings"
    assert gateway.client.get("/api/v1/models/mine").json()["key"] == "first"
    for path, name in (("/v1/models/", "param"), ("/api/v0/models/", "param"), ("/api/v1/models/", "type")):
        assert error(gateway.client.get(f"{path}nobody"), 404)[name] in ("model", "model_not_found")


@compatible(
    "POST /api/v1/models/load",
    [
        "`model`, `context_length`",
        "`eval_batch_size`, `flash_attention`, `num_experts`, `offload_kv_cache_to_gpu`",
        "`echo_load_config`",
    ],
    "same",
)
def test_a_load_s_options_reach_the_worker(gateway: Gateway):
    more = {"context_length": 512, "parallel": 2, "eval_batch_size": 32, "threads": 1, "kv_cache_type": "q8_0"}
    reply = load(gateway, echo_load_config=True, ttl=90, use_mlock=True, **more)
    flags = wait_for_event(gateway.file("first"), event="loaded")["flags"]
    assert (flags["context"], flags["parallel"], flags["batch"], flags["threads"]) == ("512", "2", "32", "1")
    assert (flags["kv_type"], flags["mlock"]) == ("q8_0", "True")
    assert more.items() <= reply["load_config"].items()
    (copy,) = native(gateway)["first"]["loaded_instances"]
    assert (copy["ttl_seconds"], copy["is_on_demand"]) == (90, False)
    assert copy["expires_at"] is not None


@pytest.mark.parametrize(
    ("asked", "status", "name", "value"),
    [
        ({"model": "nobody"}, 404, "type", "model_not_found"),
        ({"model": "broken"}, 500, "code", "load_failed"),
        ({"model": "first", "rope_freq": 1}, 400, "code", "unrecognized_keys"),
        ({"model": "first", "context_length": 4096}, 400, "param", "context_length"),
        ({"model": "first", "num_experts": 2}, 400, "param", "num_experts"),
        ({"model": "first", "draft_model": "/etc/passwd"}, 404, "type", "model_not_found"),
        (
            {"model": "first", "flash_attention": False, "kv_cache_type": "q4_0"},
            400,
            "param",
            "kv_cache_type",
        ),
    ],
)
def test_a_load_that_cannot_be_is_refused(filled: Gateway, asked: dict[str, Any], status: int, name: str, value: str):
    told = error(filled.client.post("/api/v1/models/load", json=asked), status)
    assert told[name] == value


def test_a_streamed_load_that_fails_at_once_has_a_status_of_its_own(gateway: Gateway):
    load(gateway, identifier="mine")
    body = {"model": "first", "identifier": "mine", "stream": True}
    assert error(gateway.client.post("/api/v1/models/load", json=body), 400)["code"] == "identifier_taken"


def test_a_streamed_load_that_fails_later_ends_with_the_error(gateway: Gateway):
    write_tiny_gguf(model_file(gateway.home, "will-fail"))
    reply = gateway.client.post("/api/v1/models/load", json={"model": "will-fail", "stream": True})
    told = events(reply.text)
    assert (told[0]["type"], told[-1]["type"]) == ("model_load.start", "error")
    assert told[-1]["error"]["code"] == "load_failed"
    assert native(gateway)["will-fail"]["loaded_instances"] == []


@compatible("POST /api/v1/models/load", "the client that leaves ends the load", "better", "undocumented in LM Studio")
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_the_load(gateway: Gateway, stream: bool):
    write_tiny_gguf(model_file(gateway.home, "neverload"))
    with gateway.asking({"model": "neverload", "stream": stream}, "/api/v1/models/load"):
        wait_until(lambda: native(gateway)["neverload"].get("loading"), "the load")
    wait_until(lambda: not gateway.health()["models"], "the end of the load and of its process")
    assert "loading" not in native(gateway)["neverload"]


@compatible("POST /api/v1/models/unload", "`instance_id`", "same", "404 `model_not_found` where there is none")
def test_an_unload_ends_the_process_and_a_second_one_finds_nothing(gateway: Gateway):
    load(gateway)
    pid = wait_for_event(gateway.file("first"), event="loaded")["pid"]
    reply = gateway.client.post("/api/v1/models/unload", json={"instance_id": "first"})
    assert (reply.status_code, reply.json()) == (200, {"instance_id": "first"})
    assert not is_running(pid)
    assert error(gateway.client.post("/api/v1/models/unload", json={"instance_id": "first"}), 404)["type"] == (
        "model_not_found"
    )


def test_a_deleted_model_is_gone_from_disk_and_lists(gateway: Gateway):
    size = gateway.file("first").stat().st_size
    reply = gateway.client.delete("/api/v1/models/FIRST")
    assert reply.json() == {"key": "first", "deleted": True, "freed_bytes": size}
    assert not gateway.file("first").exists()
    assert "first" not in native(gateway)
    assert error(gateway.client.delete("/api/v1/models/first"), 404)["type"] == "model_not_found"


def test_only_one_variant_is_deleted_where_one_is_named(gateway: Gateway):
    refused = error(gateway.client.delete("/api/v1/models/second"), 400)
    assert "second@q8_0" in refused["message"]
    assert gateway.client.delete("/api/v1/models/second@q8_0").status_code == 200
    assert "variants" not in native(gateway)["second"]


def test_a_loaded_model_is_not_deleted(gateway: Gateway):
    load(gateway, identifier="mine")
    refused = error(gateway.client.delete("/api/v1/models/first"), 400)
    assert (refused["code"], "mine" in refused["message"]) == ("model_loaded", True)
    assert gateway.file("first").exists()


def test_a_model_of_another_program_is_not_deleted(gateway: Gateway, home: Path):
    theirs = home / "user" / ".lmstudio" / "models" / "tests" / "theirs" / "theirs.gguf"
    write_tiny_gguf(theirs)
    refused = error(gateway.client.delete("/api/v1/models/theirs"), 400)
    assert "only reads" in refused["message"]
    assert theirs.exists()


@pytest.mark.parametrize("name", ["..", "../../../state", "%2e%2e%2fetc", "first/../second", "\x00"])
def test_no_name_leads_out_of_the_models(filled: Gateway, name: str):
    before = sorted(path for path in filled.home.rglob("*") if path.is_file())
    connection_path = f"/api/v1/models/{name}".replace("\x00", "%00")
    with filled.asking_raw("DELETE", connection_path) as reply:
        assert reply.status in (400, 404, 405)
        assert "error" in json.loads(reply.read())
    assert set(before) <= {path for path in filled.home.rglob("*") if path.is_file()}
