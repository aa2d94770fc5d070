"""llama.cpp's server inside this process: the only importer of the binding.

Source: xllamacpp 2026.10, by trying; `CommonParams` carries llama.cpp's own `common_params` names.
"""

from __future__ import annotations

import http.client
import importlib.metadata
import json
import socket
import time
from pathlib import Path
from typing import Any

import xllamacpp as untyped_binding

from roci.errors import LoadFailedError
from roci.worker.flags import WorkerFlags

binding: Any = untyped_binding  # compiled, and without type information

PROMPT_CACHE_MIB = 256
LOG_LEVEL_INFO = 3
# A stream that has begun is written to this often while the prompt is computed. The write is what notices that the
# client has left: with `return_progress` a stream begins at once, so that a client is missed in prefill too.
PING_EVERY_S = 1
# A step of the prompt cannot be interrupted: neighbours wait for its end, and so does a client's leaving. On a CPU 64
# tokens are computed as fast as 512, each; a GPU needs large steps to be fast, and is done with them soon.
CPU_BATCH = 64
GPU_BATCH = 512
ALL_LAYERS = -2  # -1 would be "decide by itself"


class LlamaCppEngine:
    """One loaded model, listening on its socket. There is no way to unload it: end the process."""

    def __init__(self, flags: WorkerFlags) -> None:
        """Loads the model; other Python threads do not run meanwhile.

        Raises:
            LoadFailedError: llama.cpp refused; its reasons are on standard error.
        """
        started = time.monotonic()
        try:
            self._server = binding.Server(_parameters(flags))
        except RuntimeError as error:
            raise LoadFailedError(f"llama.cpp could not load {flags.model}: {error}", key=flags.alias) from error
        self._flags = flags
        self._load_time_s = time.monotonic() - started

    def ready_line(self) -> dict[str, Any]:
        """What the starter of this process is told: where to ask, and what the model can do."""
        flags = self._flags
        properties = _properties(flags.socket)
        template = properties.get("chat_template_caps", {})
        return {
            "event": "ready",
            "address": f"unix://{flags.socket}",
            "load_time_s": round(self._load_time_s, 3),
            "context_length": properties["default_generation_settings"]["n_ctx"],
            "parallel": properties["total_slots"],
            "threads": flags.threads,
            "supports_tools": bool(template.get("supports_tools")),
            "supports_vision": bool(properties.get("modalities", {}).get("vision")),
            "supports_system": bool(template.get("supports_system_role")),
            "chat_template": bool(properties.get("chat_template")),
            "gpus": _gpus() if flags.gpu_layers != 0 else [],
            "engine": f"llama.cpp (xllamacpp {importlib.metadata.version('xllamacpp')})",
        }


def _parameters(flags: WorkerFlags) -> Any:
    p = binding.CommonParams()
    p.model.path = str(flags.model)
    p.model_alias = {flags.alias}  # without it replies name the file's whole path
    p.hostnames = [str(flags.socket)]
    p.port = 0
    # Every slot has its own share: two requests that outgrow a shared one would both die.
    p.kv_unified = False
    p.n_ctx = flags.parallel * flags.context
    p.n_parallel = flags.parallel
    # An embedding model takes a text in one piece or not at all.
    p.n_batch = p.n_ubatch = flags.context if flags.embedding else flags.batch or _batch(flags)
    p.embedding = flags.embedding
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = flags.threads
    p.n_gpu_layers = ALL_LAYERS if flags.gpu_layers < 0 else flags.gpu_layers
    p.fit_params = False  # what fits was decided before this process was started
    p.cache_ram_mib = PROMPT_CACHE_MIB
    p.endpoint_props = True
    p.ui = False
    p.sse_ping_interval = PING_EVERY_S
    p.verbosity = LOG_LEVEL_INFO
    return p


def _batch(flags: WorkerFlags) -> int:
    return GPU_BATCH if flags.gpu_layers != 0 and _gpus() else CPU_BATCH


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _properties(path: Path) -> dict[str, Any]:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/props")
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def _gpus() -> list[str]:
    return [device["description"] for device in binding.get_device_info() if "GPU" in str(device["type"])]
