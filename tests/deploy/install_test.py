"""deploy/install: the installed programs run wherever the folder is moved to, and files of others are not replaced."""
import configparser
import os
import pathlib
import re
import shutil
import sys
import tempfile
import unittest

from programs import ok, run

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from cluster import BIN  # noqa: E402

BUILD = BIN.parent
PROGRAMS = ("muster", "muster-coordinator", "muster-data", "muster-parquet", "muster-rank", "muster-worker")


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.prefix = cls.folder / "first/muster"
        ok(ROOT / "deploy/install", cls.prefix, "--build", BUILD)

    def test_every_program_runs_after_the_folder_was_moved_and_names_no_path_of_the_build(self):
        moved = self.folder / "moved"
        shutil.copytree(self.prefix, moved, symlinks=True)
        for program in PROGRAMS:
            if program != "muster-parquet":  # which reads files and takes no flags
                self.assertEqual(0, run(moved / "bin" / program, "--help", env={}).returncode, program)
            for library, path in re.findall(r"(\S+) => (\S+)", ok("ldd", moved / "bin" / program, env={})):
                inside = pathlib.Path(path).resolve().parent == moved.resolve() / "lib/muster"
                glibc = re.match(r"lib(c|m|dl|rt|pthread|resolv)\.so\.", library)
                self.assertTrue(inside or glibc, f"{program} loads {library} from {path}")
            self.assertNotIn(str(ROOT), ok("readelf", "-d", moved / "bin" / program))

    def test_installing_again_replaces_the_programs_and_keeps_nothing_aside(self):
        prefix = self.folder / "again"
        ok(ROOT / "deploy/install", prefix, "--build", BUILD)
        (prefix / "bin/old-program").touch()
        ok(ROOT / "deploy/install", prefix, "--build", BUILD)
        self.assertEqual(set(PROGRAMS), {path.name for path in (prefix / "bin").iterdir()})
        self.assertEqual([prefix], list(self.folder.glob("again*")))

    def test_a_folder_with_files_of_others_is_refused_and_left_alone(self):
        prefix = self.folder / "others"
        prefix.mkdir()
        (prefix / "thesis.txt").write_text("mine")
        done = run(ROOT / "deploy/install", prefix, "--build", BUILD)
        self.assertEqual(2, done.returncode)
        self.assertIn(f"{prefix} has files that are not Muster's", done.stderr)
        self.assertEqual(["thesis.txt"], os.listdir(prefix))

    def test_wrong_arguments_are_refused_by_name(self):
        for words, said in ((("/x", "--frobnicate"), "unknown option '--frobnicate'"), ((), "PREFIX is missing"),
                            (("/x", "/y"), "one PREFIX"), (("/x", "--build"), "--build needs a value"),
                            (("/x", "--build", "/nowhere"), "/nowhere is not a build of Muster"),
                            (("/x", "--units-for", "opt"), "does not begin with /")):
            done = run(ROOT / "deploy/install", *words)
            self.assertEqual(2, done.returncode, words)
            self.assertIn(said, done.stderr)

    def test_units_start_installed_programs_with_flags_that_they_know(self):
        units = sorted((self.prefix / "lib/systemd/system").glob("*.service"))
        self.assertEqual(3, len(units))
        for unit in units:
            parsed = configparser.ConfigParser(strict=False, interpolation=None)
            parsed.optionxform = str
            parsed.read(unit)
            program, *words = parsed["Service"]["ExecStart"].split()
            self.assertEqual(self.prefix / "bin" / unit.stem, pathlib.Path(program))
            known = set(re.findall(r"--[a-z-]+", ok(program, "--help")))
            self.assertLessEqual({word for word in words if word.startswith("--")}, known)
            for name in re.findall(r"\$\{(\w+)\}", parsed["Service"]["ExecStart"]):
                # The coordinator's address is only in the file that the unit requires.
                self.assertTrue(name == "COORDINATOR" or f"{name}=" in unit.read_text(), name)


if __name__ == "__main__":
    unittest.main()
