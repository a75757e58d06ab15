#!/usr/bin/env python3
"""Every command in a document exists and has the flags that it is shown with, and the reference lists every command and flag.

The commands of muster are those of its manual page, the flags of the servers and the worker those of --help, and the options of a
script those that its text names.

usage: commands_test.py     (MUSTER_BIN: the folder of the programs)
"""
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = pathlib.Path(os.environ["MUSTER_BIN"])
SERVERS = ("muster-coordinator", "muster-data", "muster-worker")
REFERENCE = ROOT / "docs/reference/cli.md"
FLAG = re.compile(r"--[a-z][a-z0-9-]*")


def output_of(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL).stdout


def muster_commands():
    """{"data import": {long flag: its short form or ""}}; "" has the flags of all commands."""
    page = output_of(BIN / "muster", "manual").replace("\\-", "-").replace("\\e", "\\")
    page = page[page.index(".SH OPTIONS"):page.index(".SH EXIT STATUS")]
    found, path = {"": {}}, ""
    for line in page.splitlines():
        if line.startswith(".SS muster "):
            path = " ".join(word for word in line.split()[2:] if re.fullmatch(r"[a-z]+", word))
            found[path] = {}
        elif line.startswith(".B "):
            short = re.match(r"\.B (-\w), ", line)
            found[path].update({flag: short[1] if short else "" for flag in FLAG.findall(line.split(" [")[0])})
    return found


def pages():
    """Every page of text, and the rules of the alerts, whose descriptions name commands."""
    yield from (ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "deploy/prometheus/rules/muster-alerts.yml")
    for folder in ("docs", "deploy", "tests"):
        yield from sorted((ROOT / folder).rglob("*.md"))


def code_of(text):
    """(line number, code) of each indented line and each piece between backticks; a line that ends with \\ includes the next."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if re.match(r"\s{4,}\S", line):
            code, last = line.strip(), number
            while code.endswith("\\") and last < len(lines):
                code, last = code[:-1] + lines[last].strip(), last + 1
            yield number, code
        yield from ((number, code) for code in re.findall(r"`([^`]+)`", line))


def calls_of(code):
    """The words of each call of a program or script of ours. Pipes and `&&` separate calls."""
    for call in re.split(r"&&|\||;|\$\(|<\(", re.sub(r"\s#\s.*", "", code.replace("\\|", "/"))):
        words = [word.strip("[]()'\"").split("=")[0] for word in call.split()]
        while words and re.fullmatch(r"sudo|[A-Z_]+|then|do|exec", words[0]):
            words.pop(0)
        name = words[0].removeprefix("./").removeprefix("build/dev/bin/") if words else ""
        is_error = name == "muster" and any(word.endswith(":") for word in words[1:4])  # "muster submit: …"
        if re.fullmatch(r"muster(-[a-z]+)*|(deploy|tests)/[\w/.-]+", name) and not is_error:
            yield name, words[1:]


def wrong(name, words, commands):
    """The error in a call; "" if it could run."""
    flags = {match[0] for word in words if (match := FLAG.match(word))}
    if name == "muster":
        path = ""
        while words and re.fullmatch(r"[a-z]+", words[0]) and f"{path} {words[0]}".strip() in commands:
            path = f"{path} {words.pop(0)}".strip()
        if words and re.fullmatch(r"[a-z]+", words[0]) and (path == "" or any(c.startswith(path + " ") for c in commands)):
            return "" if words[0] == "help" else f"there is no command {path} {words[0]}".replace("  ", " ")
        after = words.index("--") if "--" in words else len(words)
        flags = {match[0] for word in words[:after] if (match := FLAG.match(word))}
        known = {*commands[""], *commands[path], "--help", "--version"}
    elif name in SERVERS:
        known = set(FLAG.findall(output_of(BIN / name, "--help"))) if flags else set()
    elif name.startswith("muster-"):
        if not flags:
            return ""  # the name of an object or an image, too
        if not any(name in path.read_text(encoding="utf-8") for path in ROOT.glob("[ctw]*/**/CMakeLists.txt")):
            return f"there is no program {name}"
        known = set().union(*(FLAG.findall(path.read_text(encoding="utf-8")) for folder in ("tests/bench", "common", "coordinator", "worker")
                              for path in (ROOT / folder).rglob("*.cc")))
    else:
        script = ROOT / name
        if not script.exists():
            return f"{name} does not exist"
        known = set(FLAG.findall(script.read_text(encoding="utf-8"))) if script.is_file() else set()
    return f"{name} has no {', '.join(sorted(flags - known))}" if flags - known else ""


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.commands = muster_commands()

    def test_every_command_in_a_document_exists_with_its_flags(self):
        found, calls = [], 0
        for page in pages():
            for number, code in code_of(page.read_text(encoding="utf-8")):
                for name, words in calls_of(code):
                    calls += 1
                    problem = wrong(name, words, self.commands)
                    found += [f"{page.relative_to(ROOT)}:{number}: {problem}: {code}"] if problem else []
        self.assertGreater(calls, 200)
        self.assertEqual([], found, "\n" + "\n".join(found))

    def test_the_reference_lists_every_command_and_flag(self):
        text = REFERENCE.read_text(encoding="utf-8")
        listed = {}
        for row in text[text.index("## Commands"):].splitlines():
            if not row.startswith("| `"):
                continue
            for code in re.findall(r"`([^`]+)`", row.replace("\\|", "/").split(" | ")[0]):
                path = ""
                for word in code.split():
                    if f"{path} {word}".strip() not in self.commands:
                        break
                    path = f"{path} {word}".strip()
                # A row's later parts, and the texts of its second cell, name flags of the row's first command.
                first = path or first
                flags = listed.setdefault(first, set())
                flags.update(re.findall(r"(?<![\w-])-{1,2}[a-z][a-z0-9-]*", row))
                if "the other flags of `import`" in row:
                    flags.update(listed["data import"])
        groups = {path for path in self.commands if any(other.startswith(path + " ") for other in self.commands)}
        self.assertEqual(set(), set(self.commands) - groups - set(listed) - {""})
        missing = {path: [flag for flag, short in flags.items() if not {flag, short} & listed[path]]
                   for path, flags in self.commands.items() if path and path not in groups}
        self.assertEqual({}, {path: flags for path, flags in missing.items() if flags})
        self.assertEqual([], sorted(flag for flag in self.commands[""] if f"`{flag}" not in text and flag != "--help"))

    def test_a_wrong_command_is_seen(self):
        commands = {"": {"--output": ""}, "data": {}, "data import": {"--split": ""}, "jobs": {"--active": ""}}
        self.assertEqual([("muster", ["jobs"]), ("muster", ["data", "import", "N"])],
                         list(calls_of("sudo muster jobs | jq . && muster data import N # muster jobs")))
        self.assertEqual("", wrong("muster", ["data", "import", "N", "--split", "--output"], commands))
        self.assertIn("no --active", wrong("muster", ["data", "import", "--active"], commands))
        self.assertIn("no command data list", wrong("muster", ["data", "list"], commands))
        self.assertIn("no command status", wrong("muster", ["status"], commands))
        self.assertIn("does not exist", wrong("deploy/nowhere", [], commands))
        self.assertIn("has no --nowhere", wrong("deploy/install", ["--nowhere"], commands))
        self.assertEqual([(1, "muster jobs --active")], list(code_of("    muster jobs \\\n  --active")))


if __name__ == "__main__":
    unittest.main(verbosity=2)
