"""Which folders hold models: roci's own, LM Studio's, the listed ones and the cache of Hugging Face's tools.

Only the first is ever written to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from roci.engine.settings_files import SERVER_FILE_NAME, read_settings
from roci.engine.settings_values import Folder, checked_value, variable

_FILE_LIMIT_BYTES: Final = 2**20
FOLDERS_SETTING: Final = "model_folders"
POINTER_NAME: Final = ".lmstudio-home-pointer"


class ModelRoot(msgspec.Struct, frozen=True):
    """A folder that is searched for models."""

    path: Path
    kind: Literal["roci", "lmstudio", "listed", "huggingface"]

    @property
    def is_read_only(self) -> bool:
        return self.kind != "roci"


class ModelRoots(msgspec.Struct, frozen=True):
    """All folders, ours first, and the files that told where they are."""

    roots: tuple[ModelRoot, ...]
    told_by: tuple[Path, ...] = ()


class _Settings(msgspec.Struct, rename="camel"):
    downloads_folder: str | None = None


def model_roots(home: Path, folders: Iterable[Path] = (), environment: Mapping[str, str] = os.environ) -> ModelRoots:
    """Where models are looked for, whether the folders are there or not. A folder that is named twice counts once.

    Args:
        folders: read beside the usual ones, as `model_folders` of the settings.
    """
    lmstudio, told_by = lmstudio_folder()
    candidates = [
        ModelRoot(home / "models", "roci"),
        ModelRoot(lmstudio, "lmstudio"),
        *(ModelRoot(Path(folder).expanduser(), "listed") for folder in folders),
        ModelRoot(hugging_face_folder(environment), "huggingface"),
    ]
    roots: dict[str, ModelRoot] = {}
    for root in candidates:
        roots.setdefault(os.path.realpath(root.path), root)
    return ModelRoots(tuple(roots.values()), told_by)


def listed_folders(home: Path, environment: Mapping[str, str] = os.environ) -> list[Path]:
    """The folders that the setting `model_folders` names, in the environment or else in the server's file.

    Raises:
        ConfigError: the setting is no list of folders, or the file cannot be read.
    """
    setting = variable(FOLDERS_SETTING)
    if environment.get(setting, "").strip():
        given, origin, is_text = environment[setting], setting, True
    else:
        file = read_settings(home / SERVER_FILE_NAME)
        if file is None or FOLDERS_SETTING not in file.values:
            return []
        given, origin, is_text = file.values[FOLDERS_SETTING], file.path, False
    folders = checked_value(FOLDERS_SETTING, given, tuple[Folder, ...], origin, is_text=is_text)
    return [Path(folder).expanduser() for folder in folders]


def lmstudio_folder() -> tuple[Path, tuple[Path, ...]]:
    """LM Studio's folder of models, and the files that were asked for it.

    Source: LM Studio's home: content of `~/.lmstudio-home-pointer`, else `~/.cache/lm-studio` if present, else
    `~/.lmstudio`; `downloadsFolder` in its `settings.json` moves the models.
    """
    user = Path.home()
    pointer = user / POINTER_NAME
    older = user / ".cache" / "lm-studio"
    pointed = _text(pointer).strip()
    if pointed and "\0" not in pointed:
        home = Path(pointed).expanduser()
    else:
        home = older if older.is_dir() else user / ".lmstudio"
    settings = home / "settings.json"
    try:
        moved = msgspec.json.decode(_text(settings) or "{}", type=_Settings).downloads_folder
    except msgspec.DecodeError:
        moved = None
    is_moved = bool(moved) and "\0" not in (moved or "")
    folder = Path(moved or "").expanduser() if is_moved else home / "models"
    return folder, (pointer, older, settings)


def hugging_face_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The cache of Hugging Face's tools.

    Source: huggingface_hub's documentation, environment variables.
    """
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(name):
            return Path(environment[name]).expanduser()
    if environment.get("HF_HOME"):
        return Path(environment["HF_HOME"]).expanduser() / "hub"
    caches = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches).expanduser() / "huggingface" / "hub"


def _text(path: Path) -> str:
    """A small file's text; empty where there is none to be had."""
    try:
        with path.open("rb") as file:
            return file.read(_FILE_LIMIT_BYTES).decode(errors="replace")
    except OSError:
        return ""
