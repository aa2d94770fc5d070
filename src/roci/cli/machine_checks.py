"""The doctor's checks of this machine: the embedded engine, its models, the GPU, memory, disk."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from roci.cli import output
from roci.cli.checkup import Finding
from roci.engine.cores import default_threads
from roci.engine.extras import ENGINE_PACKAGE, INSTALL, has_engine
from roci.engine.library import LocalModel
from roci.engine.memory import free_memory_bytes
from roci.engine.starter import NEEDED_DISK_BYTES
from roci.engine.starter_model import STARTER_KEY

PROBE_S: Final = 60.0
GPU_TOOL_S: Final = 10.0
LITTLE_BYTES: Final = 10**9
# In a process of its own: a binding that crashes on this machine must not take the doctor with it.
_PROBE: Final = """
import json, xllamacpp
devices = xllamacpp.get_device_info()
print(json.dumps([{"description": d["description"], "is_gpu": "GPU" in str(d["type"])} for d in devices]))
"""


class Device(msgspec.Struct, frozen=True):
    """Something that the engine can compute on."""

    description: str
    is_gpu: bool


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """The embedded engine, as far as it can be seen without a model."""

    version: str = ""
    """Empty where it is not installed."""
    devices: tuple[Device, ...] = ()
    problem: str = ""
    """Why it does not run though it is installed."""

    @property
    def works(self) -> bool:
        return bool(self.version) and not self.problem


def look_at_engine() -> Engine:
    """Import the engine in another process and ask it for its devices."""
    if not has_engine():
        return Engine()
    version = importlib.metadata.version(ENGINE_PACKAGE)
    try:
        probe = subprocess.run(
            [sys.executable, "-P", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_S,
            check=True,
        )
        return Engine(version=version, devices=msgspec.json.decode(probe.stdout, type=tuple[Device, ...]))
    except subprocess.TimeoutExpired:
        problem = f"it did not start within {PROBE_S:g} s"
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        problem = last[0] if last else f"it ended with status {error.returncode}"
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = "it did not say what it can compute on"
    return Engine(version=version, problem=problem)


def check_engine(engine: Engine) -> Finding:
    facts = {"version": engine.version or None}
    if not engine.version:
        return Finding(
            check="engine",
            status="warning",
            message=f"The embedded engine ({ENGINE_PACKAGE}) is not installed; models of this machine cannot run",
            advice=f"Install it with: {INSTALL}",
            facts=facts,
        )
    if engine.problem:
        return Finding(
            check="engine",
            status="failure",
            message=f"The embedded engine ({ENGINE_PACKAGE} {engine.version}) does not run here: {engine.problem}",
            advice=f"Install it afresh: pip install --force-reinstall {ENGINE_PACKAGE}",
            facts=facts,
        )
    return Finding(
        check="engine", status="ok", message=f"llama.cpp, embedded ({ENGINE_PACKAGE} {engine.version})", facts=facts
    )


def check_starter(models: list[LocalModel]) -> Finding:
    starter = next((model for model in models if STARTER_KEY in (model.key, *model.other_keys)), None)
    facts = {"local_models": [model.key for model in models]}
    if starter is None:
        others = f"; there are {len(models)} other models on this machine" if models else ""
        return Finding(
            check="starter model",
            status="warning",
            message=f"{STARTER_KEY} is not there{others}",
            advice=f"Fetch it with: roci get {STARTER_KEY}",
            facts=facts,
        )
    message = f"{starter.key}, {output.size(starter.size_bytes)}, at {starter.path}"
    return Finding(check="starter model", status="ok", message=message, facts=facts)


def check_gpu(engine: Engine) -> Finding:
    """Is a GPU there, and does the engine use it."""
    used = [device.description for device in engine.devices if device.is_gpu]
    seen = used or _gpus_of_machine()
    facts = {"used": used, "seen": seen}
    if used:
        return Finding(check="gpu", status="ok", message=f"The engine uses {', '.join(used)}", facts=facts)
    if seen and engine.works:
        return Finding(
            check="gpu",
            status="warning",
            message=f"{', '.join(seen)} is there, and this build of the engine does not use it",
            advice=f"Install a build of {ENGINE_PACKAGE} for it (its project has CUDA, ROCm and Vulkan wheels).",
            facts=facts,
        )
    if seen:
        return Finding(check="gpu", status="ok", message=f"{', '.join(seen)} is there", facts=facts)
    threads = default_threads()
    message = f"None; models compute on the CPU with {threads} thread{'s' if threads > 1 else ''}"
    return Finding(check="gpu", status="ok", message=message, facts=facts)


def check_memory() -> Finding:
    free = free_memory_bytes()
    is_little = free < LITTLE_BYTES
    return Finding(
        check="memory",
        status="warning" if is_little else "ok",
        message=f"{output.size(free)} free",
        advice="Close other programs or unload models: only the smallest will load." if is_little else "",
        facts={"free_bytes": free},
    )


def check_disk(home: Path) -> Finding:
    """Room for models where they are kept."""
    place = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    is_little = free < NEEDED_DISK_BYTES
    return Finding(
        check="disk",
        status="warning" if is_little else "ok",
        message=f"{output.size(free)} free at {home}",
        advice="Make room, or name a folder on another disk in ROCI_HOME." if is_little else "",
        facts={"free_bytes": free, "home": str(home)},
    )


def _gpus_of_machine() -> list[str]:
    """GPUs by the system's own word, which the engine may know nothing of."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return ["Apple GPU"]
    gpus = _nvidia_gpus()
    if Path("/dev/kfd").exists():  # the kernel's door to AMD GPUs for computing
        gpus.append("an AMD GPU")
    return gpus


def _nvidia_gpus() -> list[str]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listed = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GPU_TOOL_S,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        # The tool is there and no driver answers it: no GPU that could be used.
        return []
    return [line.strip() for line in listed.stdout.decode(errors="replace").splitlines() if line.strip()]
