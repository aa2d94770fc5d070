"""What a container or a service manager leaves us: memory and cores, by Linux control groups 1 and 2.

Elsewhere, and where there is no limit, every answer is None.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path("/")
NO_LIMIT_BYTES: Final = 2**60  # version 1 says "no limit" with a number near 2**63


def memory_left_bytes(root: Path = ROOT) -> int | None:
    """Bytes until the tightest limit above this process; the file cache, which can be given back, is free."""
    groups = _groups(root)
    left = [
        _left(folder, "memory.max", "memory.current", "inactive_file") for folder in _folders(root, "", groups.get(""))
    ]
    left += [
        _left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        for folder in _folders(root, "memory", groups.get("memory"))
    ]
    return min((number for number in left if number is not None), default=None)


def memory_limit_bytes(root: Path = ROOT) -> int | None:
    """The tightest limit on memory above this process, whatever is used of it."""
    groups = _groups(root)
    limits = [_number(_text(folder / "memory.max")) for folder in _folders(root, "", groups.get(""))]
    limits += [
        _number(_text(folder / "memory.limit_in_bytes")) for folder in _folders(root, "memory", groups.get("memory"))
    ]
    return min((number for number in limits if number is not None and number < NO_LIMIT_BYTES), default=None)


def cores(root: Path = ROOT) -> float | None:
    """Cores' worth of time this process may use, 1.5 for instance."""
    groups = _groups(root)
    quotas = [_quota(_text(folder / "cpu.max")) for folder in _folders(root, "", groups.get(""))]
    quotas += [
        _quota(f"{_text(folder / 'cpu.cfs_quota_us')} {_text(folder / 'cpu.cfs_period_us')}")
        for folder in _folders(root, "cpu", groups.get("cpu"))
    ]
    return min((number for number in quotas if number is not None), default=None)


def _groups(root: Path) -> dict[str, str]:
    """Controller -> this process's group; version 2 has the empty name."""
    lines = (line.split(":", 2) for line in _text(root / "proc/self/cgroup").splitlines())
    return {name: parts[2] for parts in lines if len(parts) == 3 for name in parts[1].split(",")}


def _folders(root: Path, controller: str, group: str | None) -> list[Path]:
    """The group's folder and those above it, as far as they can be seen from here."""
    if group is None:
        return []
    mount = root / "sys/fs/cgroup" / controller
    own = mount / group.strip("/")
    return [folder for folder in (own, *own.parents) if folder.is_relative_to(mount) and folder.is_dir()]


def _left(folder: Path, limit_file: str, used_file: str, cache_name: str) -> int | None:
    limit, used = _number(_text(folder / limit_file)), _number(_text(folder / used_file))
    if limit is None or used is None or limit >= NO_LIMIT_BYTES:
        return None
    statistics = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
    return max(0, limit - used + (_number(statistics.get(cache_name, "")) or 0))


def _quota(text: str) -> float | None:
    quota, _, period = text.strip().partition(" ")
    allowed, every = _number(quota), _number(period)
    return allowed / every if allowed and every else None


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
