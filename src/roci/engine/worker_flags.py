"""A worker's command line. `roci.worker`, which nobody imports, reads it."""

from __future__ import annotations

import os
from typing import Final

from roci.engine.cores import default_threads
from roci.engine.load_plan import LoadPlan
from roci.engine.socket_folder import SocketFolder
from roci.engine.worker_options import WorkerOptions

CHAT_TEMPLATE_NAME: Final = "chat-template.jinja"


def worker_flags(key: str, options: WorkerOptions, plan: LoadPlan, folder: SocketFolder) -> list[str]:
    """One word for each, so that a value that begins with a dash is still a value."""
    has_template = options.chat_template is not None
    values: dict[str, object] = {
        "--model": plan.path,
        "--alias": key,
        "--socket": folder.socket_path,
        "--context": plan.memory.context_length,
        "--parallel": plan.memory.parallel,
        "--threads": options.threads or default_threads(),
        "--gpu-layers": options.n_gpu_layers,
        "--parent": os.getpid(),
        "--batch": options.n_batch,
        "--mmap": _on_off(options.use_mmap),
        "--flash-attention": _on_off(options.flash_attention),
        "--kv-type": options.kv_cache_type,
        "--rope-base": options.rope_frequency_base,
        "--rope-scale": options.rope_frequency_scale,
        "--draft": plan.draft,
        "--seed": options.seed if options.seed is not None and options.seed >= 0 else None,
        "--chat-template": folder.path / CHAT_TEMPLATE_NAME if has_template else None,
        "--projector": plan.projector,
        "--pooling": plan.pooling,
    }
    switches = {
        "--mlock": options.use_mlock,
        "--kv-in-ram": not options.offload_kv_cache_to_gpu,
        "--ngram": options.speculation == "ngram",
        "--embedding": plan.pooling is not None,
    }
    words = [f"{name}={value}" for name, value in values.items() if value is not None]
    return [*words, *(name for name, is_on in switches.items() if is_on)]


def _on_off(value: bool | None) -> str | None:
    return None if value is None else "on" if value else "off"
