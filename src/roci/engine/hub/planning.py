"""From a name to a plan: which files, from where, to which places, and why these."""

from __future__ import annotations

import difflib
from pathlib import Path

import msgspec

from roci.engine.hub.asking import read_hub
from roci.engine.hub.choice import Choice, choose, projector_of
from roci.engine.hub.endpoint import Hub
from roci.engine.hub.names import FORMS, FileLink, HubName, parse_name
from roci.engine.hub.repository import RemoteFile, Repository, quantization_of, total_size
from roci.engine.hub.web import Web
from roci.engine.recommended import NAMES, CatalogModel, catalog_model, source_for
from roci.engine.shards import SHARD
from roci.engine.starter_model import STARTER_KEY, STARTER_SIZE_BYTES, starter_path
from roci.errors import ModelNotFoundError, UsageError


class PlannedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file, and where it goes."""

    remote: RemoteFile
    target: Path


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one download will bring."""

    title: str
    """The model as users write it: `owner/name@Q4_K_M`, or a link."""
    repo: str
    """On the hub; empty for a plain link."""
    quantization: str
    reason: str
    files: tuple[PlannedFile, ...]
    """What the model is opened by comes first. Empty for the starter model, which comes through pip."""
    path: Path
    """The file that the model will be opened by."""
    total_bytes: int | None
    """None where its server has not said yet."""

    @property
    def is_starter(self) -> bool:
        return not self.files

    @property
    def is_there(self) -> bool:
        """Whether all of it lies where it should, by the sizes that are known."""
        if self.is_starter:
            return _has_size(self.path, STARTER_SIZE_BYTES)
        return all(_has_size(file.target, file.remote.size_bytes) for file in self.files)


async def make_plan(
    web: Web,
    hub: Hub,
    home: Path,
    name: str,
    *,
    memory_bytes: int,
    quantization: str | None = None,
    force: bool = False,
) -> Plan:
    """What fetching `name` means on a machine with this memory.

    Args:
        name: of the catalog, `owner/name[@quantization]`, a link to the hub, or a link to a file.
        force: take the smallest file where none fits.

    Raises:
        UsageError: `name` is none of these.
        ModelNotFoundError: there is no such model, or no such quantization.
        NotEnoughMemoryError: nothing of it fits this machine.
        AccessDeniedError, ServerBusyError, TransportError: the hub said no, or nothing.
    """
    short, _, asked = name.strip().removeprefix("local:").partition("@")
    known = catalog_model(short)
    if known is not None:
        return await _from_catalog(web, hub, home, known, asked or quantization or "", memory_bytes, force)
    if "/" not in name:
        raise _unknown_short_name(name)
    wanted = parse_name(name, quantization, hub)
    if isinstance(wanted, FileLink):
        return _link_plan(home, wanted)
    repository = await read_hub(web, hub, wanted.repo, wanted.revision)
    if wanted.file:
        return _file_plan(home, repository, wanted)
    choice = choose(repository, memory_bytes, quantization=wanted.quantization, force=force)
    return _plan(home, repository, choice)


async def _from_catalog(
    web: Web, hub: Hub, home: Path, known: CatalogModel, quantization: str, memory_bytes: int, force: bool
) -> Plan:
    if not known.sources:
        if quantization and quantization.lower() != known.quantization.lower():
            raise UsageError(f"{known.name} comes as {known.quantization} alone.", field="quantization")
        return _starter_plan(home)
    repo = source_for(known, memory_bytes).repo
    repository = await read_hub(web, hub, repo)
    choice = choose(repository, memory_bytes, quantization=quantization, preferred=known.quantization, force=force)
    return _plan(home, repository, choice)


def _plan(home: Path, repository: Repository, choice: Choice) -> Plan:
    remotes = choice.variant.files + ((choice.projector,) if choice.projector else ())
    return _of_files(home, repository.repo, remotes, choice.variant.quantization, choice.reason)


def _file_plan(home: Path, repository: Repository, wanted: HubName) -> Plan:
    """For a link to one file; a part of a split model means the whole model."""
    for variant in repository.variants:
        if wanted.file in variant.paths:
            projector = projector_of(repository)
            choice = Choice(variant=variant, projector=projector, reason=f"{variant.quantization}: as linked")
            return _plan(home, repository, choice)
    paths = tuple(path for variant in repository.variants for path in variant.paths)
    near = difflib.get_close_matches(wanted.file, paths, n=3)
    raise ModelNotFoundError(
        f"{wanted.repo} has no model file {wanted.file}.",
        key=f"{wanted.repo}/{wanted.file}",
        available=paths,
        similar=tuple(near),
        status=404,
        code="model_not_found",
        hint=f"There are: {', '.join((near or list(paths))[:10])}." if paths else "",
    )


def _of_files(home: Path, repo: str, remotes: tuple[RemoteFile, ...], quantization: str, reason: str) -> Plan:
    publisher, model = repo.split("/")
    folder = home / "models" / publisher / model
    files = tuple(PlannedFile(remote=remote, target=folder / remote.name) for remote in remotes)
    return Plan(
        title=f"{repo}@{quantization}",
        repo=repo,
        quantization=quantization,
        reason=reason,
        files=files,
        path=files[0].target,
        total_bytes=total_size(remotes),
    )


def _link_plan(home: Path, link: FileLink) -> Plan:
    stem = link.file[: -len(".gguf")]
    if SHARD.search(stem):
        raise UsageError(
            f"{link.file} is one part of several, which a link to it alone does not bring.",
            field="model",
            hint="Models in several parts are fetched from Hugging Face: roci get OWNER/NAME",
        )
    quantization = quantization_of(stem) or ""
    remote = RemoteFile(name=link.file, url=link.url)
    target = home / "models" / link.publisher / stem / link.file
    return Plan(
        title=link.file,
        repo="",
        quantization=quantization,
        reason=f"{link.file}: as linked; its server gives no checksum, so that only its size and header are checked",
        files=(PlannedFile(remote=remote, target=target),),
        path=target,
        total_bytes=None,
    )


def _starter_plan(home: Path) -> Plan:
    return Plan(
        title=STARTER_KEY,
        repo="",
        quantization="Q4_1",
        reason="Q4_1: small enough for any machine; it comes through pip",
        files=(),
        path=starter_path(home),
        total_bytes=STARTER_SIZE_BYTES,
    )


def _unknown_short_name(name: str) -> UsageError:
    near = difflib.get_close_matches(name.lower(), NAMES, n=2, cutoff=0.6)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return UsageError(
        f"{name[:200]!r} is not a name of the built-in catalog.",
        field="model",
        hint=f"{hint}{FORMS}",
    )


def _has_size(path: Path, size_bytes: int | None) -> bool:
    return path.is_file() and (size_bytes is None or path.stat().st_size == size_bytes)
