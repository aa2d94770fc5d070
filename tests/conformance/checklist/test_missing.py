"""What LM Studio does and roci does not: said on the page, and true."""

from __future__ import annotations

import httpx2

from tests.conformance.checklist.conftest import get
from tests.server.conftest import Gateway
from tests.support.compatibility import compatible

UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@compatible(
    "Every route",
    "WebSockets of LM Studio's own SDKs (`/llm`, `/system` and so on)",
    "missing",
    "use its HTTP routes, or OpenAI's clients",
)
def test_no_websocket_is_opened(shared: Gateway):
    for name in ("llm", "embedding", "system", "files", "repository"):
        assert shared.client.get(f"/{name}", headers=UPGRADE).status_code == 404


@compatible(
    "GET /lms-status",
    "the control port that LM Studio's command line looks for",
    "missing",
    "nothing of roci's needs it",
)
def test_there_is_no_control_port(shared: Gateway):
    assert get(shared, "/lms-status", 404)["error"]["code"] == "unknown_path"


@compatible("Every route", "models in MLX form", "missing", "GGUF only, as llama.cpp takes it")
def test_a_folder_of_mlx_is_no_model(fresh: Gateway):
    folder = fresh.home / "models" / "tests" / "mlx-model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(b"\0" * 64)
    assert "mlx-model" not in [model["key"] for model in get(fresh, "/api/v1/models")["models"]]


@compatible("Every route", "models of linked machines (LM Link), accounts on LM Studio's hub", "missing")
def test_the_models_are_those_of_this_machine(shared: Gateway):
    assert {model["publisher"] for model in get(shared, "/api/v1/models")["models"]} == {"tests"}


@compatible("Every route", "TLS", "same", "neither has it: put a proxy before it")
def test_the_server_speaks_plain_http(shared: Gateway):
    assert httpx2.URL(shared.url).scheme == "http"


@compatible("Every route", "audio, image generation, batches, files, fine-tuning", "same", "neither has it")
def test_routes_that_neither_server_has(shared: Gateway):
    for path in ("/v1/audio/speech", "/v1/images/generations", "/v1/batches", "/v1/files", "/v1/fine_tuning/jobs"):
        assert shared.client.post(path, json={}).status_code == 404, path


@compatible("Every route", "Ollama's routes", "same", "neither has them")
def test_ollamas_routes_are_not_here(shared: Gateway):
    for path in ("/api/generate", "/api/tags"):
        assert shared.client.get(path).status_code == 404, path
