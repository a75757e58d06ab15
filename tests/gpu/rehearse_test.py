#!/usr/bin/python3
"""Rehearses tests/gpu without a GPU: packs, makes a root that holds Python, torch and nothing else of this machine,
and runs tests/gpu/run --rehearse in it.

usage: rehearse_test.py BUILD LIBTORCH NCCL_LIBRARY
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD, LIBTORCH, NCCL = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
SKIPPED = 77  # what ctest reports as skipped
NAMESPACE = ("unshare", "--mount", "--propagation", "unchanged")
LIMIT = 64 * 2**20
DEVICES = ("null", "urandom")
SITE = pathlib.Path("/usr/local/lib/python3/site-packages")


def link_tree(source, target):
    """Copies the tree by hard links, without copying bytes on the same file system."""
    subprocess.run(["cp", "-aL", "--link", str(source), str(target)], check=False, stderr=subprocess.DEVNULL)
    if not target.exists() or sum(1 for _ in target.rglob("*")) < sum(1 for _ in source.rglob("*")):
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "-aL", "--reflink=auto", str(source), str(target)], check=True)


def libraries_of(file):
    listing = subprocess.run(["ldd", str(file)], check=False, capture_output=True, text=True).stdout
    return {word for line in listing.splitlines() for word in line.split() if word.startswith("/")}


def bring(root, files):
    """Files of this machine, with the libraries that they need, at their own paths."""
    for file in files:
        for path in {str(file)} | libraries_of(os.path.realpath(file)):
            target = root / path.lstrip("/")
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(os.path.realpath(path), target)


def make_root(root, packed):
    for folder in ("tmp", "proc", "dev"):
        (root / folder).mkdir()
    for device in DEVICES:
        (root / "dev" / device).touch()
    python = pathlib.Path("/usr/bin/python3")
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    libc = next(pathlib.Path(path) for path in libraries_of("/bin/sh") if "/libc.so" in path)
    glibc = [path for name in ("rt", "dl", "m", "pthread", "util") for path in libc.parent.glob(f"lib{name}.so.[0-9]")]
    bring(root, [python, "/bin/sh", "/usr/bin/env", *glibc, *library.glob("lib-dynload/*.so")])
    shutil.copytree(library, root / str(library).lstrip("/"), dirs_exist_ok=True, symlinks=True,
                    ignore=shutil.ignore_patterns("test", "*.so", "__pycache__", "config-*", "dist-packages"))
    site = root / str(SITE).lstrip("/")
    (site / "nvidia/nccl").mkdir(parents=True)
    (site / "torch").mkdir()
    link_tree(LIBTORCH / "torch/lib", site / "torch/lib")
    shutil.copy2(LIBTORCH / "torch/version.py", site / "torch/version.py")
    (site / "torch/__init__.py").touch()
    link_tree(LIBTORCH / "nvidia/cu13", site / "nvidia/cu13")
    link_tree(NCCL.parent, site / "nvidia/nccl/lib")
    checkout = root / "checkout"
    (checkout / "tests/gpu").mkdir(parents=True)
    shutil.copy2(ROOT / "tests/gpu/run", checkout / "tests/gpu/run")
    shutil.copytree(packed, checkout / "build/gpu")


class Rehearsal(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Next to torch's tree, so that hard links reach it.
        cls.folder = tempfile.TemporaryDirectory(prefix="muster-gpu-rehearsal-", dir=BUILD)
        cls.addClassCleanup(cls.clean_up)
        cls.packed = pathlib.Path(cls.folder.name) / "packed"
        subprocess.run([ROOT / "tests/gpu/pack", "--build", BUILD, "--out", cls.packed], check=True)
        cls.root = pathlib.Path(cls.folder.name) / "root"
        cls.root.mkdir()
        make_root(cls.root, cls.packed)

    @classmethod
    def clean_up(cls):
        # If the namespace could not be made private, its mounts are visible outside: never delete through one.
        for point in ("proc", *(f"dev/{device}" for device in DEVICES)):
            if os.path.ismount(cls.root / point):
                subprocess.run(["umount", cls.root / point], check=True)
        cls.folder.cleanup()

    def in_root(self, *arguments):
        # The mounts are in a private namespace, and disappear with the command.
        binds = "".join(f'mount --bind /dev/{device} "$0/dev/{device}" && ' for device in DEVICES)
        # Private where / is a mount; in a chroot it may not be one.
        script = ('{ mount --make-rprivate / 2>/dev/null || true; } && mount -t proc proc "$0/proc" && ' + binds +
                  'exec chroot "$0" /usr/bin/env -i PATH=/usr/bin:/bin PYTHONPATH="$1" PYTHONDONTWRITEBYTECODE=1 '
                  '/usr/bin/python3 /checkout/tests/gpu/run "${@:2}"')
        return subprocess.run([*NAMESPACE, "bash", "-c", script, self.root, str(SITE), *arguments],
                              capture_output=True, text=True, timeout=560)

    def test_the_pack_is_small_and_carries_no_path_of_this_machine(self):
        files = [file for file in self.packed.rglob("*") if file.is_file()]
        self.assertLess(sum(file.stat().st_size for file in files), LIMIT)
        for file in (self.packed / "bin").iterdir():
            dynamic = subprocess.run(["readelf", "-d", file], check=True, capture_output=True, text=True).stdout
            self.assertNotRegex(dynamic, "RUNPATH|RPATH")
        self.assertFalse([file for file in files if file.name.startswith(("libtorch", "libc10", "libc.so", "libnccl"))])

    def test_without_a_gpu_it_says_so(self):
        done = self.in_root()
        self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
        self.assertIn("no GPU: ", done.stdout)

    def test_the_rehearsal_passes_with_what_was_packed_alone(self):
        done = self.in_root("--rehearse", "--json", "/tmp/report.json")
        print(done.stdout, done.stderr)
        self.assertEqual(done.returncode, 0)
        report = json.loads((self.root / "tmp/report.json").read_text(encoding="utf-8"))
        self.assertEqual(report["failed"], 0)
        self.assertIsNone(report["gpu"])
        self.assertTrue(report["torch"].startswith("2.11.0"), report["torch"])
        by_name = {test["name"]: test for test in report["tests"]}
        self.assertEqual(len(by_name), len(report["tests"]), "two tests of one name")
        for name in ("peer.bfloat16", "peer.float32"):  # no sentence-transformers in that root
            self.assertIn("has no sentence-transformers", by_name[name]["message"])
        gpu_tests = [test for test in report["tests"] if test["passed"] is None and not test["name"].startswith("peer.")]
        self.assertGreater(len(gpu_tests), 40)
        for test in gpu_tests:
            self.assertEqual(test["message"], "not run: no GPU")
            self.assertTrue(by_name[test["name"] + " (cpu)"]["passed"], test["name"])
        for part in ("loss", "loss_size", "dropout", "encoder", "collective", "failure", "step", "resume", "production",
                     "scaling", "speed"):
            self.assertTrue([test for test in gpu_tests if test["name"].startswith(part + ".")], part)
        # Our own libraries come from the pack; only glibc comes from this machine.
        for library in by_name["libraries"]["mapped"]:
            if library.startswith(("/checkout/build/gpu/", str(SITE))):
                continue
            self.assertRegex(library, r"/(libc|libm|libdl|librt|libpthread|libutil|ld-linux-x86-64)\.so\.\d+$")
        self.assertTrue([name for name in by_name["libraries"]["mapped"] if name.endswith("/libmuster_cuda.so")])

    def test_a_part_that_overruns_is_a_failure(self):
        run = (self.root / "checkout/tests/gpu/run")
        text = run.read_text(encoding="utf-8")
        self.addCleanup(run.write_text, text, encoding="utf-8")
        run.write_text(text.replace("ALL_SECONDS = 540", "ALL_SECONDS = 0"), encoding="utf-8")
        done = self.in_root("--rehearse", "--part", "loss", "--json", "/tmp/short.json")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("stopped after its", done.stdout)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skipped: a separate root folder and its mounts need root")
        sys.exit(SKIPPED)
    probe = subprocess.run([*NAMESPACE, "bash", "-c", "d=$(mktemp -d) && mount -t tmpfs none $d && umount $d; e=$?; rmdir $d; exit $e"],
                           capture_output=True, text=True)
    if probe.returncode != 0:
        print(f"skipped: this machine permits no mounts: {probe.stderr.strip()}")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1])
