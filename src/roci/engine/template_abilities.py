"""What a chat template can do, judged from its text: pure, and in linear time whatever the text is.

The template is not run. It is split into what it prints and what it computes, and the names it asks for tell the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Final, Literal

import msgspec

REASONING_WORDS: Final = ("off", "low", "medium", "high", "on")
"""Every value of the reasoning switch, in the order in which options are listed."""

_LIMIT_CHARACTERS: Final = 2**20
"""Of a longer template, which nobody has written by hand, only the beginning is judged."""
_OPENERS: Final = re.compile(r"\{[#%{]")
_STRING: Final = re.compile(r"'((?:[^'\\]|\\.)*+)'|\"((?:[^\"\\]|\\.)*+)\"", re.DOTALL)
# What is computed, up to a closing mark that is not inside a string; possessive, so that no text makes it slow.
_INSIDE: Final = {"{#": re.compile(r"(.*?)#\}", re.DOTALL)} | {
    opener: re.compile(rf"((?:{_STRING.pattern}|(?!{closer})[^'\"])*+){closer}", re.DOTALL)
    for opener, closer in (("{%", "%\\}"), ("{{", "\\}\\}"))
}
_SWITCHES: Final = ("enable_thinking", "thinking")
_EFFORT: Final = "reasoning_effort"
_EFFORTS: Final = ("low", "medium", "high")


class TemplateAbilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a model can do as far as its chat template decides it. The defaults are those of no template at all."""

    tools: bool = False
    """It shows the tools' definitions to the model; without this the engine drops them."""
    system: bool = True
    """It takes system messages."""
    reasoning_options: tuple[str, ...] = ()
    """Of off, low, medium, high and on, what can be chosen; `("on",)` where the model always thinks; empty where the
    template knows nothing of thinking."""
    reasoning_default: str | None = None
    """The option that holds where the template is given none. The engine has a default of its own, so send this."""
    has_effort: bool = False
    """It reads `reasoning_effort`."""
    reasoning_switch: str | None = None
    """The boolean that turns thinking on and off: `enable_thinking` or `thinking`; None where it has none."""


def template_abilities(template: str | None) -> TemplateAbilities:
    """What the chat template `template`, in Jinja, can do."""
    if not template:
        return TemplateAbilities()
    pieces = list(_pieces(template[:_LIMIT_CHARACTERS]))
    code = "\n".join(piece.code for piece in pieces if piece.kind != "text")
    switch = next((name for name in _SWITCHES if _is_asked_for(name, code)), None)
    has_effort = _mentions(_EFFORT, code)
    options, default = _reasoning(pieces, code, switch, has_effort)
    return TemplateAbilities(
        tools=_shows_tools(pieces),
        system=_takes_system(pieces),
        reasoning_options=options,
        reasoning_default=default,
        has_effort=has_effort,
        reasoning_switch=switch,
    )


class _Piece(msgspec.Struct, frozen=True):
    kind: Literal["text", "statement", "output"]
    code: str
    """Without the content of its strings, so that a name in a text is no name in the program."""
    words: tuple[str, ...]
    """The strings in it; the text itself where it is text."""


def _pieces(template: str) -> Iterator[_Piece]:
    position = 0
    while opener := _OPENERS.search(template, position):
        if opener.start() > position:
            yield _Piece("text", "", (template[position : opener.start()],))
        inside = _INSIDE[opener[0]].match(template, opener.end())
        if inside is None:  # the engine refuses such a template; what came before still says something
            return
        if opener[0] != "{#":
            yield _code(inside[1], "statement" if opener[0] == "{%" else "output")
        position = inside.end()
    if position < len(template):
        yield _Piece("text", "", (template[position:],))


def _code(text: str, kind: Literal["statement", "output"]) -> _Piece:
    words: list[str] = []
    kept: list[str] = []
    position = 0
    for string in _STRING.finditer(text):
        words.append(string[1] if string[1] is not None else string[2])
        kept.append(text[position : string.start()])
        position = string.end()
    kept.append(text[position:])
    return _Piece(kind, " ".join("''".join(kept).strip("-+ \n\t").split()), tuple(words))


def _mentions(name: str, code: str) -> bool:
    """Whether `name` is a variable of the program, rather than an attribute of something."""
    return re.search(rf"(?<![.\w]){name}\b(?!\s*\()", code) is not None


def _is_asked_for(switch: str, code: str) -> bool:
    if not _mentions(switch, code):
        return False
    is_local = re.search(rf"\b(?:set|for) {switch}\b", code) is not None
    return not is_local or re.search(rf"\b{switch} (?:is (?:not )?(?:defined|none)|\| ?default)", code) is not None


def _shows_tools(pieces: list[_Piece]) -> bool:
    for piece in pieces:
        loop = piece.kind == "statement" and re.search(r"\bin \(?tools\b|= ?\(?tools\b(?! is)", piece.code)
        if loop or (piece.kind == "output" and _mentions("tools", piece.code)):
            return True
    return False


def _takes_system(pieces: list[_Piece]) -> bool:
    code = [piece for piece in pieces if piece.kind != "text"]
    for piece, following in zip_longest(code, code[1:]):
        refuses = following is not None and following.code.startswith("raise_exception")
        if piece.kind == "output" and not piece.code.startswith("raise_exception") and "role" in _names(piece):
            return True  # it prints whatever role a message has
        if piece.kind == "statement" and {"system", "developer"} & set(piece.words) and not refuses:
            return True
    return False


def _names(piece: _Piece) -> set[str]:
    return {*piece.words, *re.findall(r"\.(\w+)", piece.code)}


def _reasoning(
    pieces: list[_Piece], code: str, switch: str | None, has_effort: bool
) -> tuple[tuple[str, ...], str | None]:
    if has_effort:
        efforts, default = _efforts(pieces)
        if switch:
            efforts |= {"off", "on"}
            default = default if _switch_default(switch, code) == "on" else "off"
        return tuple(word for word in REASONING_WORDS if word in efforts), default
    if switch:
        return ("off", "on"), _switch_default(switch, code)
    return (("on",), "on") if _always_opens_thinking(pieces) else ((), None)


def _efforts(pieces: list[_Piece]) -> tuple[set[str], str]:
    """The efforts that a template knows, and the one it takes by itself."""
    named: set[str] = set()
    default = None
    for piece in pieces:
        if piece.kind == "text" or not _mentions(_EFFORT, piece.code):
            continue
        known = ["off" if word == "none" else word for word in piece.words if word in ("none", *_EFFORTS)]
        named.update(known)
        if known and re.search(rf"\bset {_EFFORT} ?=|{_EFFORT} \| ?default|\belse ''$", piece.code):
            default = default or known[-1]
    efforts = named if len(named) > 1 else named | set(_EFFORTS)
    if default is None:
        default = "medium" if "medium" in efforts else max(efforts, key=REASONING_WORDS.index)
    return efforts, default


def _switch_default(switch: str, code: str) -> str:
    """What a template does where the switch is not set: on or off."""
    given = re.search(
        rf"\b{switch} \| ?default\(? ?(true|false)"
        rf"|(?:\b{switch} is not defined|\bnot {switch} is defined)[^\n]{{0,200}}\nset {switch} ?= ?(true|false)"
        rf"|\b{switch} is defined else (true|false)",
        code,
        re.IGNORECASE,
    )
    if given:
        return "on" if given[given.lastindex or 0].lower() == "true" else "off"
    # Only a test that names the switch false after asking whether it is set thinks by itself.
    turned_off = rf"\b{switch} is defined and (?:not \(?{switch}\b|{switch} (?:is|==|is equalto) ?false)"
    unset_counts = rf"\b{switch} is not defined or|\bnot {switch} is defined or|\bnot \({switch} is defined and"
    return "on" if re.search(f"{turned_off}|{unset_counts}", code, re.IGNORECASE) else "off"


def _always_opens_thinking(pieces: list[_Piece]) -> bool:
    """Whether the answer's beginning, which the template writes, opens a thought and leaves it open."""
    starts = [at for at, piece in enumerate(pieces) if _mentions("add_generation_prompt", piece.code)]
    if not starts:
        return False
    said = "".join(word for piece in pieces[starts[-1] :] for word in piece.words)
    return said.rfind("<think>") > said.rfind("</think>")
