"""The sentences under fields in the source, as descriptions in the API's description. msgspec gives the types alone."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct


def describe_fields(components: dict[str, Any], types: Iterable[Any]) -> None:
    """Adds to each of `components`' fields what stands under it where its Struct is defined.

    Args:
        components: as `msgspec.json.schema_components` made them of `types`.
    """
    structs: set[type[Struct]] = set()
    for info in msgspec.inspect.multi_type_info(types):
        _collect(info, structs)
    names = [kind.__name__ for kind in structs]
    sentences: dict[str, dict[str, dict[str, str]]] = {}
    for kind in structs:
        if names.count(kind.__name__) > 1:
            continue  # which of them a component is, its name does not say
        properties = components.get(kind.__name__, {}).get("properties", {})
        for base in reversed(kind.__mro__):
            module = base.__module__
            if module not in sentences:
                sentences[module] = _sentences(module)
            for name, text in sentences[module].get(base.__name__, {}).items():
                if name in properties:
                    properties[name]["description"] = text


def _collect(info: Any, found: set[type[Struct]]) -> None:
    if isinstance(info, tuple):
        for part in info:  # pyright: ignore[reportUnknownVariableType]
            _collect(part, found)
        return
    if not isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
        return
    if isinstance(info, msgspec.inspect.StructType):
        if info.cls in found:
            return
        found.add(info.cls)
    for name in info.__struct_fields__:
        _collect(getattr(info, name), found)


def _sentences(module: str) -> dict[str, dict[str, str]]:
    """Class -> field -> the text under it; nothing where the source is not there."""
    if not module.startswith("roci."):
        return {}
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:
        return {}
    return {node.name: _under_fields(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _under_fields(node: ast.ClassDef) -> dict[str, str]:
    found: dict[str, str] = {}
    for field, after in zip(node.body, node.body[1:], strict=False):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
            case _:
                pass
    return found
