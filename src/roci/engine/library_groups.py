"""From files to models: which belong together, what state each variant is in, and what it is called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from roci.engine.header_cache import HeaderCache
from roci.engine.library_walk import FoundFile
from roci.engine.local_model import ModelState
from roci.engine.model_facts import ModelFacts, of_all_parts
from roci.engine.quantization_names import quantization_of, without_quantization
from roci.engine.shards import SHARD, SHARDS_LIMIT

PROJECTOR_MARK: Final = "mmproj"
ENOUGH_BITS: Final = 4.0
"""Bits a weight below which a model's answers suffer; the plain key means the smallest variant that has them."""
_PROJECTOR_ORDER: Final = ("f16", "fp16", "bf16", "q8_0")
_DOWNLOAD_HINT: Final = "Download the files that are missing into the same folder."
_WAIT_HINT: Final = "Wait until the download has ended; if none is running, start it again to go on where it stopped."


class Variant(msgspec.Struct, kw_only=True):
    """One loadable thing of a model."""

    stem: str
    """Its file's name without ending and part number, in lower case."""
    parts: list[FoundFile]
    name: str = ""
    state: ModelState = "ok"
    problem: str = ""
    reason: str = ""
    hint: str = ""
    facts: ModelFacts = ModelFacts()


class Group(msgspec.Struct, kw_only=True):
    """A model: one publisher's folder of one name, in whichever roots it lies."""

    publisher: str
    model: str
    variants: list[Variant]
    """The best that can be loaded first."""
    projectors: list[FoundFile]

    def projector_for(self, file: FoundFile) -> FoundFile | None:
        """The projector that lies beside `file`, or in the folder around its own."""
        near = [found for found in self.projectors if file.folder == found.folder]
        near = near or [found for found in self.projectors if file.folder.startswith(f"{found.folder}/")]
        return min(near, key=lambda found: _projector_rank(found.name), default=None)


def groups(files: Iterable[FoundFile], cache: HeaderCache) -> list[Group]:
    """The models that `files` make, and what the files' headers say."""
    by_model: dict[tuple[str, str], list[FoundFile]] = {}
    for file in files:
        by_model.setdefault((file.publisher.lower(), file.model.lower()), []).append(file)
    found = [_group(members, cache) for members in by_model.values()]
    return [group for group in found if group.variants]


def projector_beside(path: Path) -> Path | None:
    """The projector in the folder of the model file `path`, where there is exactly one model it can belong to."""
    try:
        names = [name for name in path.parent.iterdir() if name.suffix.lower() == ".gguf"]
    except OSError:
        return None
    projectors = [name for name in names if PROJECTOR_MARK in name.name.lower()]
    models = {without_quantization(SHARD.sub("", name.stem)).lower() for name in names if name not in projectors}
    if len(models) > 1:
        return None
    return min(projectors, key=lambda name: _projector_rank(name.name), default=None)


def _group(files: Sequence[FoundFile], cache: HeaderCache) -> Group:
    units = _units(files)
    projectors = [part for unit in units if PROJECTOR_MARK in unit.stem for part in unit.parts if not part.is_arriving]
    variants: list[Variant] = []
    for unit in units:
        if PROJECTOR_MARK in unit.stem:
            continue
        kind = _judge(unit, cache)
        if kind == "projector":
            projectors += unit.parts
        elif kind == "model":
            variants.append(unit)
    _name(variants)
    variants.sort(key=_rank)
    return Group(publisher=files[0].publisher, model=files[0].model, variants=variants, projectors=projectors)


def _units(files: Sequence[FoundFile]) -> list[Variant]:
    """Files that are loaded together. What lies in an earlier root wins, unless it is still arriving."""
    units: dict[str, Variant] = {}
    for file in sorted(files, key=lambda file: file.is_arriving):
        stem = SHARD.sub("", _stem(file.name)).lower()
        unit = units.setdefault(stem, Variant(stem=stem, parts=[]))
        if unit.parts and (unit.parts[0].folder != file.folder or any(part.name == file.name for part in unit.parts)):
            continue
        unit.parts.append(file)
    for unit in units.values():
        unit.parts.sort(key=lambda part: part.name)
    return list(units.values())


def _judge(unit: Variant, cache: HeaderCache) -> str:
    """Fills in the state of a variant; says what kind of file it is."""
    arriving = [part for part in unit.parts if part.is_arriving]
    missing = _missing(unit.parts)
    name = SHARD.sub("", _stem(unit.parts[0].name))
    if arriving:
        unit.state, unit.reason, unit.hint = "arriving", "missing", _WAIT_HINT
        unit.problem = f"{name} is still being downloaded."
        return "model"
    unit.facts = of_all_parts([cache.facts(part.path, part.size_bytes, part.mtime_ns) for part in unit.parts])
    facts = unit.facts
    if facts.problem:
        unit.state, unit.problem, unit.reason, unit.hint = "broken", facts.problem, facts.reason, facts.hint
    elif missing:
        count = SHARD.search(_stem(unit.parts[0].name))
        unit.state, unit.reason, unit.hint = "incomplete", "missing", _DOWNLOAD_HINT
        unit.problem = f"{name} is split into {int(count[2]) if count else 0} files, and {_told(missing)} not there."
    elif facts.shards != len(unit.parts):
        unit.state, unit.reason = "incomplete", "missing"
        unit.problem = (
            f"{unit.parts[0].path} is one of {facts.shards} parts of a model, and its name does not say which."
        )
        unit.hint = "Give all parts the names that they were published under: NAME-00001-of-00003.gguf."
    if unit.state != "ok":
        unit.facts = ModelFacts()
    return facts.file_kind


def _missing(parts: Sequence[FoundFile]) -> list[int]:
    """The numbers of the parts that are not there."""
    match = SHARD.search(_stem(parts[0].name))
    if match is None:
        return []
    there = {int(found[1]) for part in parts if (found := SHARD.search(_stem(part.name)))}
    return [number for number in range(1, min(int(match[2]), SHARDS_LIMIT) + 1) if number not in there]


def _told(missing: Sequence[int]) -> str:
    if len(missing) == 1:
        return f"part {missing[0]} is"
    numbers = [str(number) for number in missing[:10]]
    return f"parts {', '.join(numbers[:-1])} and {numbers[-1] if len(missing) <= 10 else 'others'} are"


def _name(variants: Sequence[Variant]) -> None:
    """What tells the files of one model apart: the quantization, or the whole name where that is not enough."""
    for variant in variants:
        variant.name = (quantization_of(variant.stem) or variant.facts.quantization or variant.stem).lower()
    counts = Counter(variant.name for variant in variants)
    for variant in variants:
        if counts[variant.name] > 1:
            variant.name = variant.stem


def _rank(variant: Variant) -> tuple[bool, bool, int, str]:
    bits = variant.facts.bits_per_weight or 0
    size_bytes = sum(part.size_bytes for part in variant.parts)
    is_small = bits < ENOUGH_BITS
    return variant.state != "ok", is_small, -size_bytes if is_small else size_bytes, variant.stem


def _stem(name: str) -> str:
    return re.sub(r"\.gguf$", "", name, flags=re.IGNORECASE)


def _projector_rank(name: str) -> tuple[int, str]:
    lower = name.lower()
    places = [place for place, word in enumerate(_PROJECTOR_ORDER) if re.search(rf"(?<![a-z]){word}", lower)]
    return min(places, default=len(_PROJECTOR_ORDER)), lower
