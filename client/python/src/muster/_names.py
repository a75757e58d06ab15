"""Suggestions for a wrong name, as the command line makes them (common/nearest_name.h)."""
from __future__ import annotations

from collections.abc import Iterable


def _edit_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1]


def nearest(name: str, names: Iterable[str]) -> str:
    """The name nearest to `name`, within a third of its length in edits; case does not count. Empty: none is near."""
    found, least = "", (1 if len(name) <= 3 else max(2, len(name) // 3)) + 1
    for candidate in names:
        distance = _edit_distance(name.lower(), candidate.lower())
        if distance < least:
            found, least = candidate, distance
    return found


def allowed(wrong: str, names: Iterable[str]) -> str:
    """`Allowed: a, b. Did you mean "a"?`"""
    names = list(names)
    near = nearest(wrong, names) if wrong else ""
    return f"Allowed: {', '.join(names)}." + (f' Did you mean "{near}"?' if near else "")
