"""A tidied schema -> the schema that llama.cpp's grammar is to enforce, and the list of what it cannot.

What is written never allows more than llama.cpp really enforces, and nothing that the client's schema forbids for a
reason other than those listed. It may be stricter: an object with named properties takes no others unless the schema
says so, and tuples have all their items. Source: xllamacpp 2026.10, by trying each keyword.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final, cast

from msgspec import Struct

from roci.wire.openai.request_faults import invalid
from roci.wire.schema.containers import array_part, object_part
from roci.wire.schema.disjoint import are_disjoint
from roci.wire.schema.merge import CannotMergeError, merged
from roci.wire.schema.scalars import any_of, kind_of, number_part, text_part, values_part, with_words
from roci.wire.schema.tidy import DEPTH_LIMIT, Schema, at, resolve

NODE_LIMIT: Final = 2000
"""Schemas in one grammar; llama.cpp fails on larger grammars, or takes seconds for them."""
_ANYWHERE: Final = ("not", "if")
_NO_SIBLINGS: Final = ("$ref", "$defs", "definitions", "title", "description", "default", "examples")


class SchemaTooLargeError(Exception):
    """The grammar would have too many rules."""


class GrammarPart(Struct, frozen=True):
    schema: Schema
    checked_only: tuple[str, ...]
    """The paths of what the grammar does not enforce: `properties.age.multipleOf`."""


def normalise(schema: Schema, path: str) -> GrammarPart:
    """The grammar's part of a tidied schema, with the definitions it needs in `$defs`.

    Raises:
        BadRequestError: nothing fits the schema, or it is defined by nothing but itself.
        SchemaTooLargeError: it has too many parts for a grammar.
    """
    writer = GrammarWriter()
    written = writer.write(schema, path)
    return GrammarPart(writer.with_definitions(written), writer.checked_only)


class GrammarWriter:
    """Writes one or more schemas that are to stand in one grammar, and the definitions that they share."""

    def __init__(self, definitions: Schema | None = None, *, keeps_words: bool = False) -> None:
        """`definitions`: those that a schema which was written before needs.

        With `keeps_words` what says something to a reader and nothing to the grammar stays in: a model reads it.
        """
        self.keeps_words = keeps_words
        self._definitions: dict[str, Schema] = dict(definitions or {})
        self._unenforced: dict[str, None] = {}
        self._nodes = 0

    @property
    def checked_only(self) -> tuple[str, ...]:
        return tuple(self._unenforced)

    def write(self, schema: Schema, path: str) -> Schema:
        """The schema for the grammar; its references go into `with_definitions`.

        Raises:
            BadRequestError: nothing fits the schema, or it is defined by nothing but itself.
            SchemaTooLargeError: all that was written has too many parts for a grammar.
        """
        document = _Document(self, schema, path)
        try:
            written = document.write(schema, "", 0, frozenset())
        except CannotMergeError as error:
            raise invalid(f"{path} takes nothing: no value fits all that it asks for.", path) from error
        document.write_definitions()
        return written

    def with_definitions(self, schema: Schema) -> Schema:
        return schema | {"$defs": self._definitions} if self._definitions else schema

    def note(self, place: str) -> None:
        self._unenforced[place.lstrip(".")] = None

    def count(self, nodes: int = 1) -> None:
        self._nodes += nodes
        if self._nodes > NODE_LIMIT:
            raise SchemaTooLargeError

    def define(self, name: str) -> str:
        """A free name for a definition."""
        free, number = name, 2
        while free in self._definitions:
            free, number = f"{name}_{number}", number + 1
        self._definitions[free] = {}
        return free

    def set_definition(self, name: str, schema: Schema) -> None:
        self._definitions[name] = schema


class _Document:
    """One schema with its references."""

    def __init__(self, writer: GrammarWriter, root: Schema, path: str) -> None:
        self._writer = writer
        self._root = root
        self._path = path
        self._names: dict[str, str] = {}
        """Reference -> name of its definition."""
        self._todo: list[str] = []
        self._writing = ""
        """The reference whose definition is being written; empty for the root."""
        self._depends: dict[str, set[str]] = {}
        """Reference -> the references that it is, with nothing around them."""

    def write_definitions(self) -> None:
        while self._todo:
            self._writing = self._todo.pop()
            found = cast(Schema, resolve(self._root, self._writing))
            place = self._writing.removeprefix("#").replace("/", ".").lstrip(".")
            try:
                written = self.write(found, place, 0, frozenset(), is_bare=True)
            except CannotMergeError:
                raise invalid(f"{self._path} has {self._writing!r}, which nothing fits.", self._path) from None
            self._writer.set_definition(self._names[self._writing], written)
        self._refuse_circles()

    def write(self, schema: Any, place: str, depth: int, opened: frozenset[str], *, is_bare: bool = False) -> Schema:
        """The grammar's part of `schema`, which stands at `place`.

        Args:
            opened: references that were replaced by what they name on the way here.
            is_bare: nothing stands between it and the definition that it is in.

        Raises:
            CannotMergeError: nothing fits it.
        """
        written = self._written(schema, place, depth, opened, is_bare)
        return with_words(written, schema) if self._writer.keeps_words and written else written

    def _written(self, schema: Any, place: str, depth: int, opened: frozenset[str], is_bare: bool) -> Schema:
        self._writer.count()
        if schema is True or (not schema and schema is not False):
            return {}
        if schema is False:
            raise CannotMergeError
        if depth > 2 * DEPTH_LIMIT:
            raise SchemaTooLargeError
        schema = cast(Schema, schema)
        if "$ref" in schema:
            return self._reference(schema, place, depth, opened, is_bare)
        if "allOf" in schema:
            return self._all_of(schema, place, depth, opened, is_bare)
        for name in _ANYWHERE:
            if name in schema:
                self._writer.note(at(place, name))
        if "const" in schema or "enum" in schema:
            return self._noted(values_part(schema), place)
        if "anyOf" in schema or "oneOf" in schema:
            return self._any_of(schema, place, depth, opened, is_bare)
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return self._types(schema, cast("list[str]", kinds), place, depth, opened)
        return self._typed(schema, kinds or kind_of(schema), place, depth, opened)

    # References and combinations

    def _reference(self, schema: Schema, place: str, depth: int, opened: frozenset[str], is_bare: bool) -> Schema:
        reference: str = schema["$ref"]
        siblings = {name: value for name, value in schema.items() if name not in _NO_SIBLINGS}
        if siblings and reference not in opened:
            found = cast(Schema, resolve(self._root, reference))
            both = self._merged(found, siblings, place)
            return self.write(both, place, depth + 1, opened | {reference}, is_bare=is_bare)
        for name in siblings:
            self._writer.note(at(place, name))
        if is_bare:
            self._depends.setdefault(self._writing, set()).add(reference)
        if reference not in self._names:
            wanted = reference.rpartition("/")[2] if reference != "#" else "root"
            safe = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in wanted)
            self._names[reference] = self._writer.define(safe or "part")
            self._todo.append(reference)
        return {"$ref": f"#/$defs/{self._names[reference]}"}

    def _all_of(self, schema: Schema, place: str, depth: int, opened: frozenset[str], is_bare: bool) -> Schema:
        both = {name: value for name, value in schema.items() if name != "allOf"}
        parts: list[Any] = schema["allOf"]
        if not set(both) - set(_NO_SIBLINGS) and len(parts) == 1:
            return self.write(parts[0], at(place, "allOf", 0), depth + 1, opened, is_bare=is_bare)
        for number, part in enumerate(parts):
            here = at(place, "allOf", number)
            if part is False:
                raise CannotMergeError
            if part is True:
                continue
            part, opened = self._opened(part, opened)
            if part is None or ("anyOf" in part and "anyOf" in both) or ("oneOf" in part and "oneOf" in both):
                self._writer.note(here)
                continue
            both = self._merged(both, part, here)
        return self.write(both, place, depth + 1, opened, is_bare=is_bare)

    def _any_of(self, schema: Schema, place: str, depth: int, opened: frozenset[str], is_bare: bool) -> Schema:
        word = "anyOf" if "anyOf" in schema else "oneOf"
        branches: list[Any] = schema[word]
        if word == "anyOf" and "oneOf" in schema:
            self._writer.note(at(place, "oneOf"))
        if word == "oneOf" and not are_disjoint(branches, self._root):
            self._writer.note(at(place, "oneOf"))
        base = {name: value for name, value in schema.items() if name not in ("anyOf", "oneOf", *_ANYWHERE)}
        has_base = bool(set(base) - set(_NO_SIBLINGS))
        written: list[Schema] = []
        for number, branch in enumerate(branches):
            here = at(place, word, number)
            inner = opened
            try:
                if has_base and isinstance(branch, dict):
                    part, inner = self._opened(cast(Schema, branch), opened)
                    branch = base if part is None else self._merged(base, part, here)
                    if part is None:
                        self._writer.note(here)
                elif has_base and branch is True:
                    branch = base
                written.append(self.write(branch, here, depth + 1, inner, is_bare=is_bare))
            except CannotMergeError:
                continue  # nothing fits this one
        if not written:
            raise CannotMergeError
        return self._noted(any_of(written, word), place)

    def _opened(self, part: Schema, opened: frozenset[str]) -> tuple[Schema | None, frozenset[str]]:
        """`part` without its reference; None where that would never end."""
        while "$ref" in part:
            reference: str = part["$ref"]
            if reference in opened:
                return None, opened
            opened |= {reference}
            siblings = {name: value for name, value in part.items() if name not in _NO_SIBLINGS}
            part, _ = merged(cast(Schema, resolve(self._root, reference)), siblings)
        return part, opened

    def _merged(self, one: Schema, other: Schema, place: str) -> Schema:
        both, left = merged(one, other)
        for name in left:
            self._writer.note(at(place, name))
        return both

    def _refuse_circles(self) -> None:
        """A definition that is only itself would send the grammar round for ever."""
        depends = {name: set(names) for name, names in self._depends.items() if name}
        while depends:
            free = [name for name, names in depends.items() if not names & set(depends)]
            if not free:
                circle = next(iter(depends))
                raise invalid(f"{self._path} has {circle!r}, which is defined by nothing but itself.", self._path)
            for name in free:
                del depends[name]

    # Single kinds of values

    def _types(self, schema: Schema, kinds: list[str], place: str, depth: int, opened: frozenset[str]) -> Schema:
        if "number" in kinds:
            kinds = [kind for kind in kinds if kind != "integer"]
        written: list[Schema] = []
        for kind in dict.fromkeys(kinds):
            with contextlib.suppress(CannotMergeError):
                written.append(self._typed(schema, kind, place, depth, opened))
        if not written:
            raise CannotMergeError
        return self._noted(any_of(written, "type"), place)

    def _typed(self, schema: Schema, kind: str | None, place: str, depth: int, opened: frozenset[str]) -> Schema:
        def write(inner: Any, *steps: str | int) -> Schema:
            return self.write(inner, at(place, *steps), depth + 1, opened)

        if kind == "object":
            written = self._noted(object_part(schema, write), place)
            self._writer.count(_optional_cost(written))
            return written
        if kind == "array":
            return self._noted(array_part(schema, write), place)
        if kind == "string":
            return self._noted(text_part(schema), place)
        if kind in ("integer", "number"):
            return self._noted(number_part(schema, kind), place)
        return {} if kind is None else {"type": kind}

    def _noted(self, part: tuple[Schema, list[str]], place: str) -> Schema:
        for name in part[1]:
            self._writer.note(at(place, name))
        return part[0]


def _optional_cost(schema: Schema) -> int:
    """Properties that may be missing make a grammar that grows with their square."""
    return (len(schema.get("properties", ())) - len(schema.get("required", ()))) ** 2 // 32
