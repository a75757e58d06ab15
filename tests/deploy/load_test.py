"""deploy/images/load gives each tool an archive with the names that the manifests resolve to. The tools are fakes
that record their inputs; tests/long/load_test.py really pushes."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import manifests
import objects
from devices import built
from manifests import yaml

LOAD = manifests.ROOT / "deploy/images/load"
FAKE = pathlib.Path(__file__).parent / "testing/fake_tool.py"
LOCAL = " ".join(f"localhost/{name}:{tag}" for name, tag in built().items())


def resolved(image):
    """The name under which a kubelet looks for the image of a manifest."""
    return image if "/" in image else f"docker.io/library/{image}"


class Load(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-load-"))
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "bin").mkdir()

    def load(self, *words, tools=(), images=LOCAL, **environment):
        for tool in tools:
            (self.folder / "bin" / tool).symlink_to(FAKE)
        # Hides the machine's own tools, buildah in particular.
        for tool in ("bash", "env", "python3", "sed", "mktemp", "rm", "mkdir", "grep", "cat", "dirname"):
            (self.folder / "bin" / tool).symlink_to(shutil.which(tool))
        return subprocess.run([shutil.which("bash"), LOAD, *words], capture_output=True, text=True, env={
            **os.environ, "PATH": str(self.folder / "bin"), "FAKE_LOG": str(self.folder / "log"), "FAKE_IMAGES": images, **environment})

    def calls(self, tool):
        lines = (self.folder / "log").read_text().splitlines()
        return [call for call in map(json.loads, lines) if call["tool"] == tool]

    def expect(self, overlay):
        return sorted({resolved(c["image"]) for _, _, c in objects.containers(manifests.overlay(overlay))})

    def test_kind_and_k3d_get_what_the_overlay_single_node_resolves_to(self):
        for tool, words in (("kind", ["load", "image-archive"]), ("k3d", ["image", "import"])):
            with self.subTest(tool):
                done = self.load(f"--{tool}", "dev", tools=("buildah", tool))
                self.assertEqual(0, done.returncode, done.stderr)
                calls = self.calls(tool)
                self.assertEqual(self.expect("single-node"), sorted(name for call in calls for name in call["images"]))
                for call in calls:
                    self.assertEqual(words, call["args"][:2])
                    self.assertEqual("dev", call["args"][-1])
            self.doCleanups()
            self.setUp()

    def test_the_images_of_the_gpu_pool_are_two_of_the_three(self):
        done = self.load("--kind", "dev", "coordinator", "worker-cuda", tools=("buildah", "kind"))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(self.expect("gpu-pool"), sorted(name for call in self.calls("kind") for name in call["images"]))

    def test_containerd_imports_where_the_kubelet_looks(self):
        done = self.load("--containerd", tools=("buildah", "ctr"))
        self.assertEqual(0, done.returncode, done.stderr)
        imports = [call for call in self.calls("ctr") if "import" in call["args"]]
        self.assertEqual(self.expect("single-node"), sorted(name for call in imports for name in call["images"]))
        self.assertTrue(all(call["args"][:2] == ["--namespace", "k8s.io"] for call in self.calls("ctr")))

    def test_k3s_has_a_containerd_of_its_own(self):
        done = self.load("--containerd", "worker", tools=("buildah", "k3s", "ctr"))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual("ctr", self.calls("k3s")[0]["args"][0])
        self.assertEqual([], self.calls("ctr"))

    def test_an_import_that_leaves_no_image_is_an_error(self):
        done = self.load("--containerd", "worker", tools=("buildah", "ctr"), FAKE_LOST="1")
        self.assertEqual(1, done.returncode)
        self.assertIn("has no image docker.io/library/muster-worker:", done.stderr)

    def test_a_registry_gets_the_names_that_the_printed_settings_hold(self):
        done = self.load("--registry", "registry.example:5000/ml/", "--plain-http", "coordinator", "worker", "worker-cuda",
                         tools=("buildah",))
        self.assertEqual(0, done.returncode, done.stderr)
        pushes = [call["args"] for call in self.calls("buildah") if call["args"][0] == "push"]
        self.assertEqual([f"docker://registry.example:5000/ml/{name}:{tag}" for name, tag in built().items()], [p[-1] for p in pushes])
        self.assertTrue(all("--tls-verify=false" in push for push in pushes))
        overlay, values = (yaml.safe_load(part) for part in done.stdout.split("# values of the chart"))
        wanted = [f"registry.example:5000/ml/{name}@sha256:{'ab' * 32}" for name in ("muster-coordinator", "muster-worker-cuda")]
        self.assertEqual(wanted, self.images_with(overlay), "the settings of kustomize")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(yaml.safe_dump(values))
            file.flush()
            rendered = manifests.helm_template("--values", manifests.ROOT / "deploy/helm/values/gpu-pool.yaml", "--values", file.name)
        self.assertEqual(wanted, sorted({c["image"] for _, _, c in objects.containers(rendered)}), "the values of the chart")

    def images_with(self, kustomization):
        with tempfile.TemporaryDirectory(dir=manifests.KUBERNETES / "overlays") as folder:
            (pathlib.Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(
                {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": ["../gpu-pool"], **kustomization}))
            return sorted({c["image"] for _, _, c in objects.containers(manifests.kustomize(folder))})

    def test_what_is_missing_is_named(self):
        for words, tools, images, named in (
                (["--kind", "dev"], (), LOCAL, "buildah is missing: run deploy/bootstrap --images"),
                (["--kind", "dev"], ("buildah",), LOCAL, "kind is missing: https://kind.sigs.k8s.io"),
                (["--containerd"], ("buildah",), LOCAL, "ctr is missing"),
                (["--archive", "/tmp/x"], ("buildah",), "", "localhost/muster-coordinator:0.1.0 is not here: run deploy/images/build coordinator"),
                ([], ("buildah",), LOCAL, "give one of --kind"),
                (["--kind", "a", "--k3d", "b"], ("buildah",), LOCAL, "give one of --kind"),
                (["--kind"], ("buildah",), LOCAL, "--kind needs a value"),
                (["--kind", "dev", "--plain-http"], ("buildah", "kind"), LOCAL, "--plain-http goes with --registry"),
                (["--kind", "dev", "wroker"], ("buildah", "kind"), LOCAL, "unknown argument 'wroker'; images are: coordinator worker worker-cuda")):
            with self.subTest(named):
                done = self.load(*words, tools=tools, images=images)
                self.assertIn(done.returncode, (1, 2))
                self.assertIn(named, done.stderr)
            self.doCleanups()
            self.setUp()


class Build(unittest.TestCase):
    """Runs deploy/images/build in a copy of its inputs, with fake tools and empty programs and libraries."""

    def build(self, *parts):
        root = pathlib.Path(tempfile.mkdtemp(prefix="muster-build-"))
        self.addCleanup(shutil.rmtree, root)
        shutil.copytree(manifests.ROOT / "deploy/images", root / "deploy/images")
        shutil.copy(manifests.ROOT / "CMakeLists.txt", root)
        cuda = ["libtorch.so", "libtorch_cuda.so", "libtorch_cuda_linalg.so", "libc10_cuda.so", "libcaffe2_nvrtc.so", "libtorch_nvshmem.so"]
        for tree, more in (("libtorch", []), ("libtorch-cuda", cuda)):
            for name in ["libtorch_cpu.so", "libc10.so", "libgomp.so.1", *more]:
                self.touch(root / ".deps" / tree / "torch/lib" / name)
            for name in ["libcudart.so.13", "libcupti.so.13", *(["libcublas.so.13"] if more else [])]:
                self.touch(root / ".deps" / tree / "nvidia/cu13/lib" / name)
        for name in ("libarrow.so.2600", "libparquet.so.2600"):
            self.touch(root / ".deps/pyarrow/pyarrow" / name)
        for name in ("muster", "muster-coordinator", "muster-data", "muster-parquet", "muster-worker", "muster-rank", "libmuster_cuda.so"):
            self.touch(root / "programs" / name)
        for tool in ("buildah", "debootstrap", "strip", "id"):
            (root / "tools").mkdir(exist_ok=True)
            (root / "tools" / tool).symlink_to(FAKE)
        (root / "deploy/bootstrap").symlink_to(FAKE)
        done = subprocess.run([root / "deploy/images/build", "--bin", root / "programs", *parts], capture_output=True, text=True, env={
            **os.environ, "PATH": f"{root}/tools:{os.environ['PATH']}", "FAKE_LOG": str(root / "log"),
            "FAKE_IMAGES": "localhost/muster-debootstrap"})
        self.assertEqual(0, done.returncode, done.stderr)
        calls = [json.loads(line) for line in (root / "log").read_text().splitlines()]
        tagged = [(call["args"][call["args"].index("--tag") + 1], call) for call in calls if "bud" in call["args"]]
        return dict(tagged), [call["args"] for call in calls if call["tool"] == "bootstrap"]

    def touch(self, file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    def test_each_image_has_its_name_its_programs_and_its_libraries(self):
        images, prepared = self.build("coordinator", "worker", "worker-cuda")
        self.assertEqual({f"localhost/{name}:{tag}" for name, tag in built().items()}, set(images) - {"localhost/muster-base"})
        files = {name.removeprefix("localhost/").split(":")[0]: call["files"] for name, call in images.items()}
        self.assertEqual(["libraries/libarrow.so.2600", "libraries/libparquet.so.2600", "programs/muster", "programs/muster-coordinator",
                          "programs/muster-data", "programs/muster-parquet"], files["muster-coordinator"])
        cpu, cuda = set(files["muster-worker"]), set(files["muster-worker-cuda"])
        self.assertLessEqual({"programs/muster-worker", "programs/muster-rank", "libraries/libtorch_cpu.so"}, cpu)
        self.assertEqual({"programs/libmuster_cuda.so", "libraries/libtorch_cuda.so", "libraries/libcublas.so.13"},
                         (cuda - cpu) & {"programs/libmuster_cuda.so", "libraries/libtorch_cuda.so", "libraries/libcublas.so.13"})
        self.assertLess(cpu, cuda)
        self.assertEqual([["--cuda"]], prepared, "CUDA's libraries are fetched for the image that holds them")

    def test_by_default_it_builds_what_single_node_needs(self):
        images, prepared = self.build()
        needed = {f"localhost/{c['image']}" for _, _, c in objects.containers(manifests.overlay("single-node"))}
        self.assertEqual(needed, set(images) - {"localhost/muster-base"})
        self.assertEqual([], prepared)


class Bootstrap(unittest.TestCase):
    def test_images_need_no_package_of_the_long_tests(self):
        asked = {}
        for option in ("--images", "--long"):
            with tempfile.TemporaryDirectory() as folder:
                dpkg = pathlib.Path(folder) / "dpkg-query"  # claims that everything is there, so that nothing is installed
                dpkg.write_text(f"#!/bin/sh\nfor last; do :; done; echo $last >> {folder}/asked\nprintf 'install ok installed'\n")
                dpkg.chmod(0o755)
                # The packages are installed before this line.
                script, after = (manifests.ROOT / "deploy/bootstrap").read_text().split("\ntorch_wheels=", 1)
                self.assertIn("pip install", after)
                done = subprocess.run(["bash", "-c", script, manifests.ROOT / "deploy/bootstrap", option], capture_output=True, text=True,
                                      env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})
                self.assertEqual(0, done.returncode, done.stderr)
                asked[option] = set((pathlib.Path(folder) / "asked").read_text().split())
        self.assertLessEqual({"buildah", "debootstrap"}, asked["--images"])
        self.assertEqual(set(), asked["--images"] & {"podman", "clang-14", "python3-venv", "docker-registry"})
        self.assertLess(asked["--images"], asked["--long"])

    def test_an_unknown_option_names_the_known_ones(self):
        done = subprocess.run([manifests.ROOT / "deploy/bootstrap", "--image"], capture_output=True, text=True)
        self.assertEqual(2, done.returncode)
        for option in ("--tests", "--watch", "--model", "--cuda", "--images", "--long"):
            self.assertIn(option, done.stderr)


if __name__ == "__main__":
    unittest.main()
