"""Who may import whom. The rooms, left to right: each may import itself and what stands further left."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
FILES = sorted(SOURCE.rglob("*.py"))

EARLIER = {
    "errors": set[str](),
    "version": set[str](),
    "selector": {"errors"},
    "config": {"errors", "selector"},
}
FIRST = {"errors", "selector", "config", "version"}
EARLIER |= {
    "types": FIRST,
    "wire": FIRST | {"types"},
    "exchange": FIRST | {"types", "wire"},
    "engine": FIRST | {"types", "wire", "exchange"},
    "providers": FIRST | {"types", "wire", "exchange", "engine"},
    "generation": FIRST | {"types", "wire", "exchange", "engine", "providers"},
    "server": FIRST | {"types", "wire", "exchange", "engine", "providers"},
    "worker": {"errors"},
}
EARLIER["cli"] = set(EARLIER) - {"worker"}

# Third-party packages that enter by one door, or by few.
DOORS: dict[str, str | tuple[str, ...]] = {
    "httpx2": ("exchange/", "server/mcp/"),
    "mcp": "server/mcp/",
    "mcp_types": "server/mcp/",
    "PIL": ("server/images.py", "types/images.py"),
    "jiter": "generation/partial_json.py",
    "xllamacpp": "worker/llama_cpp_engine.py",
    "litestar": "server/",
    "uvicorn": "server/",
    "jsonschema_rs": "wire/schema/checked.py",
    "yaml": "engine/yaml_edit.py",
    "click": "cli/",
    "rich": "cli/",
}


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of each import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module is not None
            yield node.lineno, node.module


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "roci"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    inside = path.relative_to(SOURCE / "roci")
    room = inside.parts[0].removesuffix(".py")
    broken: list[str] = []
    for line, module in imports_of(path):
        package = module.split(".")[0]
        if package == "roci" and room not in ("__init__", "__main__"):
            target = room_of(module)
            if target != room and target not in EARLIER[room]:
                broken.append(f"{inside}:{line}: {room} may not import {target}")
        door = DOORS.get(package)
        if door is not None and not str(inside).startswith(door):
            broken.append(f"{inside}:{line}: {package} enters by {door} alone")
        if (
            inside.parts[0] == "wire"
            and inside.name == "types.py"
            and package not in ("msgspec", "typing", "__future__")
        ):
            broken.append(f"{inside}:{line}: a dialect's types import msgspec alone")

    assert not broken, "\n".join(broken)


def test_every_room_has_its_arrows() -> None:
    rooms = {path.relative_to(SOURCE / "roci").parts[0].removesuffix(".py") for path in FILES}

    assert rooms - {"__init__", "__main__"} <= set(EARLIER)
