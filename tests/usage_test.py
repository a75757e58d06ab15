"""Wrong flags of the server programs are answered like those of muster: what is wrong, what is allowed, the nearest name.

The law for every command of muster is client/usage_test.cc; this test checks the built programs through --help.
"""
import os
import pathlib
import re
import subprocess
import unittest

BIN = pathlib.Path(os.environ["MUSTER_BIN"])
PROGRAMS = ("muster-coordinator", "muster-data", "muster-worker", "muster")
USAGE = 2
LEAKS = ("->", "FAILED", "were given", "were not expected", "is required", "Could not convert", "not in {", "Run with --help")


def run(program, *words):
    return subprocess.run([str(BIN / program), *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def flags(program):
    """Each long flag of --help, with its fixed set of values, if it has one."""
    found = {}
    for line in run(program, "--help").stdout.splitlines():
        match = re.match(r"\s+(?:-\w,)?(--[a-z-]+)(.*)", line)
        if match:
            closed = re.search(r":\{([^}]*)\}", match[2])
            found[match[1]] = closed[1].split(",") if closed else None
    return found


class Usage(unittest.TestCase):
    def refuse(self, program, *words):
        done = run(program, *words)
        self.assertEqual(done.returncode, USAGE, done)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith(f"{program}: "), done.stderr)
        for leak in LEAKS:
            self.assertNotIn(leak, done.stderr)
        return done.stderr

    def test_a_misspelled_flag_is_answered_with_the_nearest(self):
        for program in PROGRAMS:
            known = flags(program)
            self.assertGreater(len(known), 5, program)
            for flag in set(known) - {"--help"}:
                text = self.refuse(program, flag[:-1] + ("x" if flag[-1] != "x" else "y"))
                self.assertIn(f'Did you mean "{flag}"?', text)
                self.assertIn("Allowed: ", text)

    def test_a_wrong_value_says_what_is_allowed(self):
        closed = 0
        for program in PROGRAMS[:-1]:
            for flag, values in flags(program).items():
                if values is None:
                    continue
                text = self.refuse(program, f"{flag}=no/such")
                self.assertIn(f'{flag}: unknown value "no/such". Allowed: {", ".join(values)}.', text)
                closed += 1
        self.assertGreaterEqual(closed, 7, "log level and format of each, and the worker's device")

    def test_a_wrong_number_and_a_missing_flag_are_named(self):
        self.assertIn('--shutdown-grace: "soon" is not a number from 0 to 3600.', self.refuse("muster-data", "--shutdown-grace", "soon"))
        self.assertIn('--store-budget: "much" is not a size', self.refuse("muster-data", "--store-budget", "much"))
        self.assertIn("--streams: \"-1\" is not a number of 0 or more", self.refuse("muster-coordinator", "--streams", "-1"))
        self.assertIn("--state is missing: ", self.refuse("muster-worker", "--coordinator", "h:1"))
        self.assertIn("exclude each other", self.refuse("muster-data", "--state", "s", "--insecure", "--certs", "c"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
