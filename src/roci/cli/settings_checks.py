"""The doctor's checks of what roci is, and of how it is set up."""

from __future__ import annotations

import os
import platform
import sys

from roci.cli.checkup import Finding
from roci.config import RociConfig
from roci.errors import ConfigError, SelectorError
from roci.selector import LanguageModel
from roci.version import VERSION


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
