"""The doctor's checks of what roci is, and of how it is set up."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Final

from roci.cli.checkup import Finding
from roci.config import RociConfig
from roci.engine.local_model import LocalModel
from roci.engine.model_settings import checked_model_settings
from roci.engine.settings_files import MODEL_FOLDER_NAME, model_key, read_settings
from roci.errors import ConfigError, SelectorError
from roci.selector import LanguageModel
from roci.server.settings import resolve_settings, settings_file
from roci.version import VERSION

_FILES_LIMIT: Final = 1000


def check_python() -> Finding:
    python = platform.python_version()
    return Finding(
        check="python",
        status="ok",
        message=f"roci {VERSION} on Python {python}, {platform.system()} {platform.machine()}",
        facts={"roci": VERSION, "python": python, "executable": sys.executable},
    )


def read_config() -> tuple[RociConfig | None, Finding]:
    """The configuration, None where it cannot be used, and what there is to say about it."""
    try:
        config = RociConfig.from_env()
        if config.model is not None:
            LanguageModel.parse(config.model)
    except (ConfigError, SelectorError) as error:
        return None, Finding(
            check="configuration",
            status="failure",
            message=error.message,
            advice=error.hint or "Correct the setting, or remove it.",
            facts={"field": error.field},
        )
    settings = ", ".join(sorted(set(config.origins.values())))
    return config, Finding(
        check="configuration",
        status="ok",
        message=f"{f'set by {settings}' if settings else 'nothing is set, the defaults hold'}; home is {config.home}",
        facts={
            "origins": config.origins,
            "home": str(config.home),
            "lmstudio_base_url": config.lmstudio_base_url,
            "model": config.model,
        },
    )


def home_alone() -> RociConfig:
    """A configuration of nothing but the home, for the checks that need no more."""
    return RociConfig(roci_home=os.environ.get("ROCI_HOME"))


def check_settings(home: Path, models: list[LocalModel]) -> Finding:
    """Whether the files of settings hold, and each of them belongs to a model."""
    folder = home / MODEL_FOLDER_NAME
    files = sorted(folder.glob("*.yaml"))[:_FILES_LIMIT] if folder.is_dir() else []
    keys = {key for model in models for key in (model.key, model.key.partition("@")[0])}
    unused = [file for file in files if model_key(file) not in keys]
    try:
        server = settings_file(home)
        resolve_settings({}, os.environ, server)
        for file in files:
            found = read_settings(file)
            if found is not None:
                checked_model_settings(found.values, found.path)
    except ConfigError as error:
        return Finding(
            check="settings",
            status="failure",
            message=error.message,
            advice=error.hint or "Correct the setting, or remove it with `roci config unset`.",
            facts={"setting": error.setting, "origin": error.origin},
        )
    facts = {"server_file": str(server) if server else None, "model_files": [str(file) for file in files]}
    if unused:
        return Finding(
            check="settings",
            status="warning",
            message=f"no model on this machine is called {', '.join(model_key(file) for file in unused)}, and "
            f"{'these have files' if len(unused) > 1 else 'it has a file'} of settings in {folder}",
            advice="Rename to a model's key (see `roci models`), or remove what is not needed.",
            facts=facts,
        )
    count = {0: "no model has a file of its own", 1: "one model has a file of its own"}.get(
        len(files), f"{len(files)} models have files of their own"
    )
    where = str(server) if server else "the server has no file of settings"
    return Finding(check="settings", status="ok", message=f"{where}; {count}", facts=facts)
