"""llama.cpp's server inside this process: the only importer of the binding.

Source: xllamacpp 2026.10, by trying; `CommonParams` carries llama.cpp's own `common_params` names.
"""

from __future__ import annotations

import http.client
import importlib.metadata
import json
import platform
import socket
import sys
import time
from pathlib import Path
from typing import Any

import xllamacpp as untyped_binding

from roci.errors import LoadFailedError
from roci.worker.flags import WorkerFlags

binding: Any = untyped_binding  # compiled, and without type information

PROMPT_CACHE_MIB = 256
# Warnings and errors, which say why a model did not load. With more there would be nine lines for each request, each
# of which wakes the process that keeps the log.
LOG_LEVEL_WARN = 2
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
            LoadFailedError: llama.cpp refused, and its reasons are on standard error; or an option did not take effect.
        """
        started = time.monotonic()
        try:
            self._server = binding.Server(_parameters(flags))
        except RuntimeError as error:
            raise LoadFailedError(f"llama.cpp could not load {flags.model}: {error}", key=flags.alias) from error
        self._flags = flags
        self._load_time_s = time.monotonic() - started
        self._check_effects()

    def ready_line(self) -> dict[str, Any]:
        """What the starter of this process is told: where to ask, and what the model can do."""
        flags = self._flags
        properties = _get(flags.socket, "/props")
        template = properties.get("chat_template_caps", {})
        context = properties["default_generation_settings"]["n_ctx"]
        version = importlib.metadata.version("xllamacpp")
        return {
            "event": "ready",
            "address": f"unix://{flags.socket}",
            "load_time_s": round(self._load_time_s, 3),
            "context_length": context,
            "parallel": properties["total_slots"],
            "threads": flags.threads,
            "supports_tools": bool(template.get("supports_tools")),
            "supports_parallel_tools": bool(template.get("supports_parallel_tool_calls")),
            "supports_effort": bool(template.get("supports_reasoning_effort")),
            "supports_preserved_reasoning": bool(template.get("supports_preserve_reasoning")),
            "supports_vision": bool(properties.get("modalities", {}).get("vision")),
            "supports_system": bool(template.get("supports_system_role")),
            "chat_template": bool(properties.get("chat_template")),
            "is_embedding": flags.embedding,
            "pooling": flags.pooling if flags.embedding else None,
            "input_limit_tokens": min(context, flags.context) if flags.embedding else None,
            "bos_token": properties.get("bos_token", ""),
            "eos_token": properties.get("eos_token", ""),
            "vocabulary_size": _get(flags.socket, "/v1/models")["data"][0]["meta"]["n_vocab"],
            "gpus": _gpus() if flags.gpu_layers != 0 else [],
            "engine": f"llama.cpp (xllamacpp {version})",
            "engine_name": _engine_name(),
            "engine_version": version,
        }

    def _check_effects(self) -> None:
        """Options that llama.cpp gives up with a warning are errors here."""
        flags = self._flags
        # A draft model of another vocabulary, for instance; the log has said why.
        if (flags.draft or flags.ngram) and not _get(flags.socket, "/slots")[0]["speculative"]:
            raise LoadFailedError("The engine cannot speculate with this model.", key=flags.alias)
        if flags.mlock and _locked_bytes() == 0:
            raise LoadFailedError("The system does not allow to lock the weights in memory.", key=flags.alias)


def _parameters(flags: WorkerFlags) -> Any:
    p = binding.CommonParams()
    p.model.path = str(flags.model)
    p.model_alias = {flags.alias}  # without it replies name the file's whole path
    p.hostnames = [str(flags.socket)]
    p.port = 0
    # Every slot has its own share: two requests that outgrow a shared one would both die.
    p.kv_unified = False
    slots = _even_slots(flags) if flags.embedding else flags.parallel
    p.n_ctx = slots * flags.context
    p.n_parallel = slots
    # An embedding model takes a text in one piece or not at all.
    p.n_batch = p.n_ubatch = flags.context if flags.embedding else flags.batch or _batch(flags)
    p.embedding = flags.embedding
    if flags.pooling is not None:
        p.pooling_type = getattr(binding.llama_pooling_type, f"LLAMA_POOLING_TYPE_{flags.pooling.upper()}")
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = flags.threads
    p.n_gpu_layers = ALL_LAYERS if flags.gpu_layers < 0 else flags.gpu_layers
    p.fit_params = False  # what fits was decided before this process was started
    p.cache_ram_mib = PROMPT_CACHE_MIB
    p.endpoint_props = True
    p.ui = False
    p.sse_ping_interval = PING_EVERY_S
    p.verbosity = LOG_LEVEL_WARN
    _set_memory(p, flags)
    _set_model(p, flags)
    return p


def _set_memory(p: Any, flags: WorkerFlags) -> None:
    modes = binding.llama_load_mode
    if flags.mlock:
        # Without a mapping the weights are read into memory of our own, which is locked just as well.
        p.load_mode = modes.LLAMA_LOAD_MODE_MLOCK if flags.mmap is False else modes.LLAMA_LOAD_MODE_MMAP_MLOCK
    elif flags.mmap is not None:
        p.load_mode = modes.LLAMA_LOAD_MODE_MMAP if flags.mmap else modes.LLAMA_LOAD_MODE_NONE
    if flags.flash_attention is not None:
        word = "ENABLED" if flags.flash_attention else "DISABLED"
        p.flash_attn_type = getattr(binding.llama_flash_attn_type, f"LLAMA_FLASH_ATTN_TYPE_{word}")
    if flags.kv_type is not None:
        p.cache_type_k = p.cache_type_v = getattr(binding.ggml_type, f"GGML_TYPE_{flags.kv_type.upper()}")
    p.no_kv_offload = flags.kv_in_ram


def _set_model(p: Any, flags: WorkerFlags) -> None:
    kinds = binding.common_speculative_type
    speculation: list[Any] = []
    if flags.draft is not None:
        p.speculative.draft.mparams.path = str(flags.draft)
        p.speculative.draft.n_gpu_layers = p.n_gpu_layers
        p.speculative.draft.cpuparams.n_threads = flags.threads
        p.speculative.draft.cpuparams_batch.n_threads = flags.threads
        speculation.append(kinds.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE)
    if flags.ngram:
        speculation.append(kinds.COMMON_SPECULATIVE_TYPE_NGRAM_MOD)
    if speculation:
        p.speculative.types = speculation
    if flags.rope_base is not None:
        p.rope_freq_base = flags.rope_base
    if flags.rope_scale is not None:
        p.rope_freq_scale = flags.rope_scale
    if flags.seed is not None:
        p.sampling.seed = flags.seed
    if flags.chat_template is not None:
        p.chat_template = flags.chat_template.read_text(encoding="utf-8")
    if flags.projector is not None:
        p.mmproj.path = str(flags.projector)
        p.mmproj_use_gpu = flags.gpu_layers != 0


def _batch(flags: WorkerFlags) -> int:
    return GPU_BATCH if flags.gpu_layers != 0 and _gpus() else CPU_BATCH


def _even_slots(flags: WorkerFlags) -> int:
    """As many slots as may be, up to those asked for.

    The engine aborts (`ggml_can_mul_mat`) if the slots of an embedding model cannot share its step evenly, 512 tokens
    among 3 for instance. With a longer step it names a wrong limit where it refuses a text.
    """
    return next(count for count in range(flags.parallel, 0, -1) if flags.context % count == 0)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _get(socket_path: Path, path: str) -> Any:
    connection = _UnixConnection(socket_path)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def _gpu_devices() -> list[dict[str, Any]]:
    return [device for device in binding.get_device_info() if "GPU" in str(device["type"])]


def _gpus() -> list[str]:
    return [device["description"] for device in _gpu_devices()]


def _engine_name() -> str:
    """`llama.cpp-linux-x86_64-cpu`: the backend of the first GPU that this build can use, else cpu."""
    # Devices are called CUDA0, Vulkan1, Metal and the like.
    backends = [device["name"].rstrip("0123456789").lower() for device in _gpu_devices()]
    system = {"darwin": "mac", "win32": "windows"}.get(sys.platform, sys.platform)
    return f"llama.cpp-{system}-{platform.machine().lower()}-{backends[0] if backends else 'cpu'}"


def _locked_bytes() -> int | None:
    """Memory of this process that cannot be swapped out; None where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmLck:")), None)
