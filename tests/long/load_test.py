"""deploy/images/load with the real buildah: an archive carries the names that manifests resolve to, and a real registry (Debian's
docker-registry) serves the images under the digests that load prints. The images are empty: only their names matter.

Needs root, and what `deploy/bootstrap --long` installs; elsewhere it says so and is skipped.
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/deploy"), str(ROOT / "tests/e2e")]
from cluster import wait_until  # noqa: E402
from devices import built  # noqa: E402
from manifests import yaml  # noqa: E402

PARTS = [name.removeprefix("muster-") for name in built()]
REGISTRY = """version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/registry}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


def leave_out(what):
    print(f"load_test: left out, real pushes of images: {what}")
    sys.exit(77)


class Load(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-load-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.options = ["--root", f"{cls.folder}/storage", "--runroot", f"{cls.folder}/run", "--storage-driver", "vfs"]
        for part in PARTS:
            container = cls.buildah("from", "scratch").strip()
            cls.buildah("config", "--label", f"part={part}", container)
            cls.buildah("commit", "--quiet", "--rm", container, f"localhost/muster-{part}:{built()[f'muster-{part}']}")

    @classmethod
    def buildah(cls, *words):
        done = subprocess.run(["buildah", *cls.options, *words], capture_output=True, text=True)
        assert done.returncode == 0, f"buildah {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def load(self, *words):
        done = subprocess.run([ROOT / "deploy/images/load", *words], capture_output=True, text=True,
                              env={**os.environ, "BUILDAH_OPTIONS": " ".join(self.options)})
        self.assertEqual(0, done.returncode, f"{done.stdout}{done.stderr}")
        return done.stdout

    def test_archives_carry_the_names_that_manifests_resolve_to(self):
        archives = self.folder / "archives"
        self.load("--archive", archives, *PARTS)
        names = {}
        for file in archives.iterdir():
            with tarfile.open(file) as tar:
                image, = json.load(tar.extractfile("manifest.json"))
                names[file.name] = image["RepoTags"]
        # buildah also adds the local name, which no manifest uses.
        self.assertEqual({f"{name}.tar": {f"docker.io/library/{name}:{tag}", f"localhost/{name}:{tag}"}
                          for name, tag in built().items()}, {file: set(tags) for file, tags in names.items()})
        self.load("--archive", archives, *PARTS)  # again, over the existing files

    def start_registry(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        configuration = self.folder / "registry.yml"
        configuration.write_text(REGISTRY.format(folder=self.folder, port=port))
        registry = subprocess.Popen(["docker-registry", "serve", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(registry.wait)
        self.addCleanup(registry.kill)

        def answers():
            self.assertIsNone(registry.poll(), "docker-registry ended")
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5).status == 200
            except OSError:
                return False
        wait_until("the registry answers", answers, 60)
        return f"127.0.0.1:{port}/ml"

    def test_a_registry_serves_each_image_under_the_printed_digest(self):
        prefix = self.start_registry()
        printed = self.load("--registry", prefix, "--plain-http", *PARTS)
        images = yaml.safe_load(printed.split("# values of the chart")[0])["images"]
        self.assertEqual([f"{prefix}/{name}" for name in built()], [image["newName"] for image in images])
        for part, image in zip(PARTS, images):
            name = f"{image['newName']}@{image['digest']}"
            self.buildah("pull", "--quiet", "--tls-verify=false", f"docker://{name}")
            labels = json.loads(self.buildah("inspect", "--type", "image", name))["Docker"]["config"]["Labels"]
            self.assertEqual(part, labels["part"])


if __name__ == "__main__":
    if os.geteuid() != 0:
        leave_out("they need root")
    for program in ("buildah", "docker-registry"):
        if not shutil.which(program):
            leave_out(f"{program} is missing (deploy/bootstrap --long)")
    unittest.main()
