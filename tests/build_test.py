#!/usr/bin/env python3
"""Quick start and tests share one build tree: tests/run does not compile again what deploy/quickstart has compiled.

usage: build_test.py BUILD_FOLDER
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(sys.argv.pop(1))
# The inputs of a compile step, except those that this test changes.
KEPT = ("CMAKE_BUILD_TYPE", "CMAKE_C_COMPILER", "CMAKE_CXX_COMPILER", "CMAKE_CXX_FLAGS", "CMAKE_CXX_FLAGS_RELEASE",
        "CMAKE_UNITY_BUILD", "CMAKE_UNITY_BUILD_BATCH_SIZE", "MUSTER_TORCH", "MUSTER_FUZZ")


def cache(folder):
    lines = (folder / "CMakeCache.txt").read_text().splitlines()
    return dict(re.match(r"([^:]+):[^=]+=(.*)", line).groups() for line in lines if re.match(r"\w[^:]*:\w+=", line))


def compile_steps(folder, target, deps):
    """Object → command, with the folders of this build replaced."""
    done = subprocess.run(["ninja", "-C", folder, "-t", "commands", target], capture_output=True, text=True, check=True)
    steps = {}
    for line in done.stdout.splitlines():
        match = re.search(r" -o (\S+\.o) .*-c ", line)
        if match:
            steps[match[1]] = line.replace(str(folder), "BUILD").replace(str(deps), "DEPS")
    return steps


class Build(unittest.TestCase):
    def test_quick_start_tests_and_packages_use_one_preset(self):
        presets = {preset["name"] for preset in json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]}
        named = {}
        for script in ("deploy/quickstart", "deploy/install", "deploy/images/build", "tests/run"):
            text = (ROOT / script).read_text()
            named[script] = set(re.findall(r"--preset (\w+)", text)) | set(re.findall(r"\bbuild/(\w+)/bin", text))
        self.assertEqual({script: {"dev"} for script in named}, named)
        self.assertIn("dev", presets)

    def test_quick_start_builds_no_tests(self):
        self.assertIn("--target programs", (ROOT / "deploy/quickstart").read_text())
        steps = compile_steps(BUILD, "programs", BUILD / "no folder")
        self.assertGreater(len(steps), 50)
        foreign = [name for name in steps if re.search(r"_test\b|_test\.|/testing/|^tests/|bench", name)]
        self.assertEqual([], foreign)

    def test_set_up_for_tests_changes_no_compile_step_of_the_programs(self):
        values = cache(BUILD)
        with tempfile.TemporaryDirectory(prefix="muster-build-") as name:
            fresh, deps = pathlib.Path(name) / "build", pathlib.Path(name) / "deps"
            deps.mkdir()
            for path in pathlib.Path(values["MUSTER_DEPS"]).iterdir():
                if path.name in ("libtorch", "pyarrow"):  # what deploy/bootstrap installs without --tests
                    (deps / path.name).symlink_to(path)
            options = [f"-D{key}={values[key]}" for key in KEPT if key in values]
            done = subprocess.run(["cmake", "-G", "Ninja", "-S", ROOT, "-B", fresh, "-DMUSTER_TESTS=OFF",
                                   f"-DMUSTER_DEPS={deps}", *options], capture_output=True, text=True)
            self.assertEqual(0, done.returncode, done.stderr)
            before = compile_steps(fresh, "programs", deps)
        after = compile_steps(BUILD, "programs", values["MUSTER_DEPS"])
        self.assertGreater(len(before), 50)
        changed = {name for name in before if before[name] != after.get(name)}
        self.assertEqual(set(), changed, "tests/run would compile these again after deploy/quickstart")
        # The CUDA compiler, which --tests installs, is needed only for the GPU plug-in.
        added = {name for name in after if name not in before and not name.startswith("worker/rank/cuda/")}
        self.assertEqual(set(), added)


if __name__ == "__main__":
    unittest.main()
