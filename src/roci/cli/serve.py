"""`roci serve`: the gateway, in this process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from roci.cli import output
from roci.config import RociConfig
from roci.engine.extras import need_gateway
from roci.engine.library import models_on_disk
from roci.engine.starter_model import STARTER_KEY

EXAMPLES = """\b
Examples:
  roci serve
  roci serve --port 8080 --verbose
  roci serve --max-loaded 2 --context-length 16384
  roci serve --cors https://app.example --cors http://localhost:3000
  roci serve --host 0.0.0.0 --require-token

\b
Then, for instance:
  curl http://localhost:1234/v1/models
"""


class Flag(NamedTuple):
    """A setting of the gateway as an option; its range is checked where all settings are."""

    name: str
    """The field of `ServerSettings`. That all are here, with these types, is tested."""
    kind: type
    """tuple: may be given several times."""
    help: str


# Spelled out, because help must not cost the import of the gateway, nor need it installed.
FLAGS: Final = (
    Flag("host", str, "An address; one that others can reach needs a token, see --require-token. [127.0.0.1]"),
    Flag("port", int, "0 takes any free one. [1234]"),
    Flag("cors", tuple, "Let web pages ask: of any site, or with an ORIGIN of this one; may be repeated. [off]"),
    Flag("verbose", bool, "One line for each request on standard error."),
    Flag("max_loaded", int, "Models in memory on demand. [1]"),
    Flag("jit", bool, "Load a model when a request names it. [on]"),
    Flag("parallel", int, "Answers at once from one model; fewer where memory is short. [4]"),
    Flag("context_length", int, "Tokens for each answer with its prompt. [the model's limit, at most 8192]"),
    Flag("threads", int, "Threads that compute. [usable cores minus one]"),
    Flag(
        "n_batch", int, "Prompt tokens computed in one step, for which neighbours pause. [64 on a CPU, 512 with a GPU]"
    ),
    Flag("n_gpu_layers", int, "Layers on a GPU; -1 is all, 0 none. [-1]"),
    Flag("ttl_s", str, "Idle seconds after which a model loaded on demand is unloaded, or never. [3600]"),
    Flag("use_mlock", bool, "Keep models from being swapped out."),
    Flag("use_mmap", bool, "Map a model's file into memory. [the engine decides]"),
    Flag("flash_attention", bool, "Another way to compute attention. [the engine decides]"),
    Flag("kv_cache_type", str, "How keys and values are kept: f16, q8_0, q4_0 and so on. [f16]"),
    Flag("offload_kv_cache_to_gpu", bool, "Keep keys and values where the layers are. [on]"),
    Flag("num_experts", int, "Active experts of a mixture. [the model's own]"),
    Flag("rope_frequency_base", float, "[the model's own]"),
    Flag("rope_frequency_scale", float, "[the model's own]"),
    Flag("draft_model", str, "A small model that guesses ahead."),
    Flag("speculation", str, "ngram guesses ahead without a second model."),
    Flag("chat_template", str, "Jinja text in place of the model's own."),
    Flag("mmproj", str, "The projector's file, for images. [the one beside the model]"),
    Flag("temperature", float, "For requests that do not say, as the four below. [the engine's own]"),
    Flag("top_p", float, "[the engine's own]"),
    Flag("top_k", int, "[the engine's own]"),
    Flag("min_p", float, "[the engine's own]"),
    Flag("repeat_penalty", float, "[the engine's own]"),
    Flag("require_token", bool, "Refuse who brings no token of `roci tokens`."),
    Flag("allow_open", bool, "Let everybody in who can reach the address."),
    Flag("allowed_hosts", tuple, "A further name by which clients may call this server; may be repeated."),
    Flag("allow_request_mcp", bool, "Let a request bring MCP servers of its own."),
    Flag("allow_mcp_file", bool, "Let requests use the MCP servers of mcp.json; needs --require-token."),
    Flag("mcp_file", str, "The file of MCP servers. [mcp.json in roci's home]"),
    Flag("model_folders", tuple, "A folder of models beside roci's own, only read; may be repeated."),
    Flag("store_days", int, "Days after which stored conversations are deleted. [30]"),
    Flag("download_mb_per_s", float, "Megabytes a second that downloads may take. [as fast as can be]"),
    Flag("compat", str, "lmstudio answers as LM Studio does also where that is a known trap. [roci]"),
    Flag("queue_limit", int, "Requests that may wait; one more is refused. [512]"),
    Flag("drain_s", float, "Seconds that answers in progress may take after Ctrl-C. [30]"),
    Flag("max_body_mb", int, "Megabytes of one request's body. [64]"),
)
_METAVARS: Final = {"cors": "[ORIGIN]", "allowed_hosts": "NAME", "model_folders": "FOLDER", "ttl_s": "N"}


def _with_flags(function: Any) -> Any:
    for setting in reversed(FLAGS):
        function = _option(setting)(function)
    return function


def _option(setting: Flag) -> Any:
    dashed = setting.name.replace("_", "-")
    if setting.kind is bool:
        return click.option(f"--{dashed}/--no-{dashed}", default=None, help=setting.help)
    shape: dict[str, Any] = {"type": setting.kind, "default": None}
    if setting.kind is tuple:
        shape = {"type": str, "multiple": True}
    if setting.name == "cors":
        # Alone it is any origin; the name of the next option is never taken for one.
        shape |= {"is_flag": False, "flag_value": "*"}
    words = _METAVARS.get(setting.name, "TEXT" if setting.kind is str else "N")
    return click.option(f"--{dashed}", metavar=words, help=setting.help, **shape)


def given_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given, as settings; `--cors off` is a word like those of the environment."""
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    if len(given.get("cors", ())) == 1:
        given["cors"] = given["cors"][0]
    return given


@click.command(epilog=EXAMPLES)
@_with_flags
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A JSON file of these settings, with _ for -. [server.json in roci's home, if it is there]",
)
def command(file: Path | None, **flags: object) -> None:
    """Serve the models of this machine to LM Studio's and OpenAI's clients.

    A model is loaded when a request first names it. Who wins: an option, then ROCI_PORT and so on in the environment,
    then the model's own file, then the server's file, then the default in brackets; `roci config show --origin` tells.
    Ctrl-C lets answers finish; again, it ends at once.
    """
    need_gateway()
    from roci.server.settings import is_loopback, resolve_settings, settings_file
    from roci.server.state.tokens import list_tokens

    home = RociConfig.from_env().home
    settings = resolve_settings(given_flags(flags), os.environ, settings_file(home, file))
    # Only here: without the extra there is nothing to import.
    from roci.server.serving import serve

    def announce(url: str) -> None:
        output.note(f"roci serves on {url}")
        if not models_on_disk(home):
            output.note(f"There is no model on this machine yet. In another terminal: roci get {STARTER_KEY}")
        if settings.require_token and not list_tokens(home):
            output.note("There is no token yet, so nobody is let in. In another terminal: roci tokens create NAME")
        elif not settings.require_token and not is_loopback(settings.host):
            output.note("Everybody who can reach this address may use it: no token is asked for.")

    serve(settings, home, on_ready=announce)
