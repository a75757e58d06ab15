"""deploy/package: unpacked in a root with only glibc and a shell, it trains a job there."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

INSIDE = "MUSTER_PACKAGE_TEST_INSIDE"
if not os.environ.get(INSIDE):
    words = ["unshare", "--mount", "--propagation", "private"]
    probe = [*words, "sh", "-c", "mount -t tmpfs none /mnt && cp -a /dev/null /mnt/null"]
    if os.geteuid() != 0 or subprocess.run(probe, capture_output=True).returncode != 0:
        print("package_test: left out: a separate root needs root, a mount namespace, and device files")
        sys.exit(77)
    os.execvpe(words[0], [*words, sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})

from programs import ok, run  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from cluster import BIN, topics_job, write_topics, write_vocabulary  # noqa: E402

BUILD = BIN.parent


def bare_root(folder):
    """A root with glibc, a shell and its basic tools: no compiler, no library of ours."""
    files = set()
    for package in ("libc6", "libc-bin", "dash", "coreutils", "libselinux1", "libpcre2-8-0", "libacl1", "libattr1", "libgmp10",
                    "hostname"):
        files |= {line for line in ok("dpkg", "-L", package).splitlines() if os.path.isfile(line)}
    for file in sorted(files):
        if file.startswith("/usr/share"):
            continue
        target = folder / str(pathlib.Path(file).parent.resolve()).lstrip("/") / pathlib.Path(file).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    for link in ("bin", "sbin", "lib", "lib64"):
        (folder / "usr" / link).mkdir(parents=True, exist_ok=True)
        (folder / link).symlink_to(f"usr/{link}")
    for name in ("tmp", "root", "etc", "dev", "proc", "opt"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (folder / "etc/hosts").write_text("127.0.0.1 localhost\n")
    for device in ("null", "urandom", "random", "zero"):
        ok("cp", "-a", f"/dev/{device}", folder / "dev" / device)
    (folder / "dev/shm").mkdir()
    ok("mount", "-t", "proc", "proc", folder / "proc")


class Package(unittest.TestCase):
    def test_the_package_trains_in_a_root_without_compiler_and_libraries(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-package-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        package = folder / "muster.tar.gz"
        ok(ROOT / "deploy/package", "--build", BUILD, "--out", package)
        root = folder / "root"
        root.mkdir()
        bare_root(root)
        with tarfile.open(package) as archive:
            archive.extractall(root / "opt")
        (unpacked,) = (root / "opt").iterdir()
        self.assertIn(f"/opt/{unpacked.name}/bin/muster-data ",
                      (unpacked / "lib/systemd/system/muster-data.service").read_text())
        write_topics(root / "root/topics")
        write_vocabulary(root / "root/vocabulary")
        (root / "root/job.yaml").write_text(json.dumps(topics_job()))
        (root / "root/train.sh").write_text(
            "set -e\nmuster models push small-vocab /root/vocabulary\nmuster data import topics /root/topics\n"
            "muster submit /root/job.yaml --wait\nmuster jobs --output json > /root/jobs.json\n")
        try:
            done = run("chroot", root, "/bin/sh", "-c", f"export PATH=/opt/{unpacked.name}/bin:/bin HOME=/root; exec muster local --slots 2 "
                       "--state /root/state -- sh /root/train.sh", env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        finally:
            ok("umount", "--lazy", root / "proc")
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        (job,) = json.loads((root / "root/jobs.json").read_text())["jobs"]
        self.assertEqual("JOB_PHASE_SUCCEEDED", job["phase"])


if __name__ == "__main__":
    unittest.main()
