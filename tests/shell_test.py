"""Completion in real shells, and the manual page in groff, as `muster completion SHELL` and `muster manual` print them."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

MUSTER = pathlib.Path(os.environ["MUSTER_BIN"]) / "muster"

BASH = """source "$1"
COMP_WORDS=("${@:2}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { echo FILES; }
_muster
printf '%s\\n' "${COMPREPLY[@]}"
"""
# zsh's own helpers need its line editor. These replacements print the completions.
ZSH = """script=$1; shift
words=("$@") CURRENT=$#
_describe() { local -a offered=("${(@P)2}"); print -rl -- "${(@)offered%%:*}" }
compadd() { shift; print -rl -- "$@" }
_files() { print FILES }
source $script
"""


def muster(*words):
    return subprocess.run([str(MUSTER), *words], capture_output=True, text=True, check=True).stdout


class Shell(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def script(self, shell):
        file = pathlib.Path(self.folder.name) / f"muster.{shell}"
        file.write_text(muster("completion", shell))
        return str(file)

    def run_shell(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                              env={**os.environ, "HOME": self.folder.name, "XDG_CONFIG_HOME": self.folder.name})
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(done.stderr, "", done)
        return {line.split("\t")[0] for line in done.stdout.splitlines() if line}

    def bash(self, *words):
        offered = self.run_shell("bash", "--norc", "-c", BASH, "bash", self.script("bash"), *words)
        return {word for word in offered if word.startswith(words[-1])} | (offered & {"FILES"})

    def zsh(self, *words):
        return self.run_shell("zsh", "-f", "-c", ZSH, "zsh", self.script("zsh"), *words)

    def fish(self, *words):
        line = " ".join(words).replace("'", "")
        return self.run_shell("fish", "--no-config", "-c", f"source {self.script('fish')}; complete -C '{line}'")

    def check(self, complete):
        """What each shell must offer. It may offer more."""
        first = complete("muster", "")
        self.assertLessEqual({"submit", "jobs", "data", "completion"}, first)
        self.assertNotIn("import", first)
        below = complete("muster", "data", "")
        self.assertLessEqual({"import", "list", "show"}, below)
        self.assertNotIn("submit", below)
        self.assertLessEqual({"--output", "--address"}, complete("muster", "jobs", "--"))
        self.assertEqual({"table", "json", "yaml"}, complete("muster", "jobs", "--output", ""))

    def test_bash_completes_commands_flags_choices_and_files(self):
        self.check(self.bash)
        self.assertIn("submit", self.bash("muster", "sub"))
        self.assertEqual({"FILES"}, self.bash("muster", "submit", ""))

    def test_zsh_completes_commands_flags_choices_and_files(self):
        self.check(self.zsh)
        self.assertEqual({"FILES"}, self.zsh("muster", "submit", ""))

    def test_fish_completes_commands_flags_choices_and_files(self):
        self.check(self.fish)
        self.assertIn("submit", self.fish("muster", "sub"))

    def test_the_manual_page_is_right_roff_and_holds_every_command(self):
        page = muster("manual")
        done = subprocess.run(["groff", "-K", "utf8", "-man", "-ww", "-Tutf8", "-P-c"], input=page, capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")
        text = re.sub(".[\b]", "", done.stdout)  # bold, as terminals print it
        for line in muster("--help").split("Subcommands:")[1].split("Example:")[0].splitlines():
            if line.strip():
                self.assertTrue(f"muster {line.split()[0]}" in text, line)
        self.assertIn("muster submit job.yaml --wait", text)


if __name__ == "__main__":
    unittest.main()
