"""Reads docs/reference/errors.md: the errors that each RPC may return."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/reference/errors.md"
ROW = re.compile(r"^\| `([A-Z_]+)` \| (`[A-Z_]+`|–) \| ([^|]+) \|", re.MULTILINE)


def rows():
    """(code, reason or "", {"JobService.SubmitJob", … or "every"})"""
    return [(code, "" if reason == "–" else reason.strip("`"), set(rpcs.split()))
            for code, reason, rpcs in ROW.findall(DOCUMENT.read_text())]


def is_documented(rpc, code, reason):
    return any(code == row[0] and reason == row[1] and ("every" in row[2] or rpc in row[2]) for row in rows())
