#!/usr/bin/env python3
"""Checks the Markdown pages: every relative link and anchor resolves, every page can be reached from docs/index.md, and every path
of the project that a page or a comment names exists.

usage: docs_test.py [ROOT]
"""
import json
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
SKIPPED = {".git", ".deps", ".gl", "build", "__pycache__"}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# The lookbehind skips paths of other projects, such as https://example.org/docs/page.md.
MENTION = re.compile(r"(?<![\w./-])(docs/[\w./-]+\.(?:md|py|png))")
SOURCE = re.compile(r"(?<![\w./:-])((?:common|coordinator|worker|client|proto|tests|deploy|cmake)/[\w./-]*\w)(?![\w{*])")

PANEL = re.compile(r'[Pp]anel "([^"]+)"')


def tracked_files(root):
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if not SKIPPED & set(parts) and path.is_file() and not path.is_symlink():
            yield path


def without_code(text):
    """The page without code, in which brackets are not links. Keeps the number of lines."""
    text = re.sub(r"^```.*?^```", lambda match: "\n" * match[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`", "``", text)


def anchors(text):
    """The anchors that GitHub makes from a page's headings."""
    found = set()
    for line in re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL).splitlines():
        if re.match(r"#{1,6} ", line):
            title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line.lstrip("#").strip())
            name = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            number = 0
            while (name if not number else f"{name}-{number}") in found:
                number += 1
            found.add(name if not number else f"{name}-{number}")
    return found


def links_of(page):
    """(line number, target) of each link that is not a web address."""
    for number, line in enumerate(without_code(page.read_text(encoding="utf-8")).splitlines(), 1):
        for target in LINK.findall(line):
            if not re.match(r"[a-z]+:", target):
                yield number, target


def broken_links(page):
    for number, target in links_of(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f"{number}: {target} does not exist"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
            yield f"{number}: {file.name} has no heading for #{anchor}"


def reachable(start):
    """Every page that can be reached by links. A link to a folder leads to the pages in it."""
    seen, waiting = set(), [start]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for _, target in links_of(page):
            file = (page.parent / target.partition("#")[0]).resolve() if not target.startswith("#") else page
            if file.is_dir():
                waiting += sorted(file.glob("*.md"))
            elif file.suffix == ".md" and file.exists():
                waiting.append(file)
    return seen


class Pages(unittest.TestCase):
    def test_every_relative_link_and_anchor_resolves(self):
        pages = [path for path in tracked_files(ROOT) if path.suffix == ".md"]
        self.assertGreater(len(pages), 50)
        broken = [f"{page.relative_to(ROOT)}:{text}" for page in pages for text in broken_links(page)]
        self.assertEqual([], broken, "\n".join(broken))

    def test_every_page_is_reachable_from_the_index(self):
        pages = {path for path in tracked_files(ROOT / "docs") if path.suffix == ".md"}
        lost = sorted(str(page.relative_to(ROOT)) for page in pages - reachable(ROOT / "docs/index.md"))
        self.assertEqual([], lost, "link these from a page that docs/index.md leads to:\n" + "\n".join(lost))

    def test_every_docs_path_named_in_any_file_exists(self):
        missing = []
        for path in tracked_files(ROOT):
            if path.suffix in (".png", ".xz", ".gz") or path.stat().st_size > 2**20 or path.name == "docs_test.py":
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="ignore").splitlines(), 1):
                missing += [f"{path.relative_to(ROOT)}:{number}: {name}" for name in MENTION.findall(line)
                            if not (ROOT / name).exists()]
        self.assertEqual([], missing, "\n".join(missing))

    def test_every_source_path_named_in_a_page_or_comment_exists(self):
        missing, seen = [], 0
        for path in tracked_files(ROOT):
            if path.suffix not in (".md", ".h", ".cc", ".cu", ".proto"):
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if path.suffix != ".md" and not re.search(r"(?:^|\s)//", line):
                    continue
                for name in SOURCE.findall(line):
                    seen += 1
                    # A name in capitals is a placeholder, and is skipped; "worker/rank/link/rank_run" is a header and its
                    # source.
                    if not re.search(r"[A-Z]", name) and not (ROOT / name).exists() and not list(ROOT.glob(name + ".*")):
                        missing.append(f"{path.relative_to(ROOT)}:{number}: {name}")
        self.assertGreater(seen, 300)
        self.assertEqual([], missing, "\n".join(missing))

    def test_every_dashboard_panel_named_in_a_page_exists(self):
        titles = {panel["title"] for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")
                  for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]}
        named = {(path.relative_to(ROOT).as_posix(), title) for path in tracked_files(ROOT / "docs") if path.suffix == ".md"
                 for title in PANEL.findall(" ".join(path.read_text(encoding="utf-8").split()))}
        self.assertGreater(len(named), 3)
        self.assertEqual([], sorted(found for found in named if found[1] not in titles))

    def test_broken_links_are_seen(self):
        self.assertEqual(anchors("# A `b` page\n## Who may call what?\n## Who may call what?\n```\n# no heading\n```"),
                         {"a-b-page", "who-may-call-what", "who-may-call-what-1"})
        self.assertNotIn("[x](y.md)", without_code("see `[x](y.md)`"))
        self.assertEqual(["tests/nowhere.py"], SOURCE.findall("see tests/nowhere.py, not https://example.org/tests/x.py"))
        self.assertEqual(["docs/nowhere.md"], MENTION.findall("// docs/nowhere.md, and https://example.org/docs/x.md"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
