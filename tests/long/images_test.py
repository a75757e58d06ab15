"""Builds the images, looks at what is in them, and trains in containers that run as the manifests say: their commands, user
65532, a read-only root, no capability, the limits of cores and memory, certificates as Secrets in cert-manager's layout.

Needs root, and what `deploy/bootstrap --long` installs; where containers may not be started it says so and is skipped.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/deploy"), str(ROOT / "tests/e2e")]
import manifests  # noqa: E402
import pods  # noqa: E402
from cluster import BIN, topics_job, wait_until, write_topics, write_vocabulary  # noqa: E402
from manifests import yaml  # noqa: E402
import policy  # noqa: E402
from secrets_for_tests import make_secrets  # noqa: E402

WORK = ROOT / "build/images-test"
STORAGE = ["--root", str(WORK / "storage"), "--runroot", str(WORK / "run")]
LIMIT = 200 * 10**6  # bytes of the coordinator's image
NETWORK = "muster-images-test"
CONFIGURATION = """[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
"""


def podman(*words, check=True, timeout=300):
    done = subprocess.run(["podman", *STORAGE, *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f"podman {' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def leave_out(what):
    print(f"images_test: left out, building and running the images: {what}")
    sys.exit(77)


def prepare():
    if os.geteuid() != 0:
        leave_out("it needs root")
    for program in ("buildah", "podman", "debootstrap", "runc"):
        if not shutil.which(program):
            leave_out(f"{program} is missing (deploy/bootstrap --long)")
    if subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True).returncode != 0:
        leave_out("mount and network namespaces are not permitted here")
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / "containers.conf").write_text(CONFIGURATION)
    os.environ["CONTAINERS_CONF"] = str(WORK / "containers.conf")


def build():
    done = subprocess.run([ROOT / "deploy/images/build", "--bin", BIN, "coordinator", "worker"], text=True,
                          env={**os.environ, "BUILDAH_OPTIONS": " ".join(STORAGE)}, capture_output=True, timeout=1500)
    assert done.returncode == 0, f"build: exit {done.returncode}\n{done.stdout}{done.stderr}"
    print(done.stdout)


class Images(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        build()
        cls.version = manifests.overlay("single-node")[1]["metadata"]["labels"]["app.kubernetes.io/version"]
        cls.names = {part: f"localhost/muster-{part}:{cls.version}" for part in ("coordinator", "worker")}

    def inspect(self, part):
        return json.loads(podman("image", "inspect", self.names[part]).stdout)[0]

    def inside(self, part, script):
        return podman("run", "--rm", "--user", "0", "--network", "none", self.names[part], "sh", "-c", script).stdout

    def test_the_coordinators_image_is_small(self):
        for part in self.names:
            print(f"{part}: {self.inspect(part)['Size'] / 1e6:.0f} MB")
        self.assertLess(self.inspect("coordinator")["Size"], LIMIT)

    def test_they_run_as_an_unprivileged_user_and_are_labeled(self):
        for part in self.names:
            config = self.inspect(part)["Config"]
            self.assertEqual("65532:65532", config["User"])
            labels = config["Labels"]
            self.assertEqual(f"muster-{part}", labels["org.opencontainers.image.title"])
            self.assertEqual(self.version, labels["org.opencontainers.image.version"])
            self.assertRegex(labels["org.opencontainers.image.revision"], "^([0-9a-f]{40}|unknown)$")

    def test_nothing_is_missing_and_nothing_is_left_over(self):
        for part in self.names:
            linked = self.inside(part, "ldd /usr/local/bin/*")
            self.assertNotIn("not found", linked)
            self.assertIn("libgrpc++", linked)
            sources = self.inside(part, "cat /etc/apt/sources.list; ls -A /etc/apt/sources.list.d")
            self.assertTrue(all(line.startswith("deb http://deb.debian.org/") for line in sources.splitlines()), sources)
            self.assertEqual("", self.inside(part, "ls -A /var/lib/apt/lists /tmp | grep -v : || true").strip())
            self.assertEqual("", self.inside(part, "find / -xdev -type f -perm /6000"), "programs that raise rights")

    def test_a_job_trains_in_containers_that_run_as_the_manifests_say(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-images-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        objects = manifests.overlay("single-node")
        secrets = make_secrets(folder, "muster")
        podman("network", "rm", "--force", NETWORK, check=False)
        podman("network", "create", NETWORK)
        self.addCleanup(podman, "network", "rm", "--force", NETWORK, check=False)
        owners = {o["metadata"]["name"]: o for o in objects if o["kind"] == "StatefulSet"}
        running = {}
        for number, name in enumerate(("muster-data", "muster-coordinator", "muster-worker")):
            running[name] = self.start(objects, owners[name], secrets, folder, number)
        for pod in running.values():
            wait_until(f"{pod.name} is ready", lambda pod=pod: self.alive(pod) and pod.probe("readinessProbe") is True, 120)
            self.assertIs(True, pod.probe("livenessProbe"))
        self.train(folder)
        for name in ("muster-worker", "muster-coordinator", "muster-data"):
            podman("stop", "--time", running[name].spec["terminationGracePeriodSeconds"], name, timeout=900)
            code = podman("inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip()
            self.assertEqual("0", code, podman("logs", "--tail", 40, name).stdout)

    def alive(self, pod):
        name = pod.owner["metadata"]["name"]
        if podman("inspect", "--format", "{{.State.Running}}", name).stdout.strip() != "true":
            logs = podman("logs", name)
            raise AssertionError(f"{name} ended:\n{logs.stdout}{logs.stderr}")
        return True

    def start(self, objects, owner, secrets, folder, number):
        name = owner["metadata"]["name"]
        gateway = json.loads(podman("network", "inspect", NETWORK).stdout)[0]["subnets"][0]["subnet"]
        address = gateway.rsplit(".", 1)[0] + f".{20 + number}"
        pod = pods.Pod(owner, address, folder / f"pod-{name}")
        container = pod.container
        words = ["run", "--detach", "--name", name, "--hostname", pod.name, "--network", NETWORK, "--ip", address,
                 "--user", f"{pod.user}:{pod.user}", "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all",
                 "--security-opt", "no-new-privileges",
                 "--memory", int(policy.quantity(container["resources"]["limits"]["memory"])),
                 "--cpus", min(policy.quantity(container["resources"]["limits"]["cpu"]), os.cpu_count())]
        for service in policy.of_kind(objects, "Service"):
            if policy.matches(service["spec"]["selector"], pod.labels):
                host = service["metadata"]["name"]
                words += [w for n in (host, f"{host}.muster.svc", f"{host}.muster.svc.cluster.local") for w in ("--network-alias", n)]
        for key, value in pod.environment().items():
            if key not in ("PATH", "HOME", "HOSTNAME"):  # the image's
                words += ["--env", f"{key}={value}"]
        for mount in pod.mounts(secrets):
            if mount["path"] == "/dev/shm":
                words += ["--shm-size", mount["tmpfs"]]
            elif "tmpfs" in mount:
                empty = folder / f"empty-{name}-{mount['path'].replace('/', '-')}"  # an emptyDir is on the node's disk
                empty.mkdir()
                os.chown(empty, 0, pod.user)
                empty.chmod(0o2777)
                words += ["--volume", f"{empty}:{mount['path']}:rw"]
            else:
                words += ["--volume", f"{mount['source']}:{mount['path']}:{'ro' if mount['read_only'] else 'rw'}"]
        image = f"localhost/{container['image']}"
        self.addCleanup(podman, "rm", "--force", "--time", 5, name, check=False)
        podman(*words, image, *pod.command())
        return pod

    def train(self, folder):
        """As a user would: the CLI of the coordinator's image, the authority's certificate and a token."""
        client = folder / "client"
        (client / "certs").mkdir(parents=True)
        shutil.copy(folder / "authority/ca.pem", client / "certs/ca.pem")
        shutil.copy(folder / "token", client / "token")
        write_topics(client / "topics")
        write_vocabulary(client / "vocab")
        (client / "job.yaml").write_text(yaml.safe_dump(topics_job(duration={"steps": 20})))
        for path in [client, *client.rglob("*")]:
            os.chown(path, 65532, 65532)

        def muster(*words):
            return podman("run", "--rm", "--network", NETWORK, "--read-only", "--cap-drop", "all", "--volume", f"{client}:/client",
                          "--env", "MUSTER_ADDRESS=muster-coordinator:7070", "--env", "MUSTER_CERTS=/client/certs",
                          "--env", "MUSTER_TOKEN_FILE=/client/token", self.names["coordinator"], "muster", *words, timeout=600).stdout
        workers = json.loads(muster("workers", "--output", "json"))["workers"]
        self.assertEqual(["muster-worker-0"], [w["name"] for w in workers])
        muster("models", "push", "small-vocab", "/client/vocab")
        muster("data", "import", "topics", "/client/topics")
        job = json.loads(muster("submit", "/client/job.yaml", "--wait", "--timeout", "300", "--output", "json"))["id"]
        self.assertEqual("JOB_PHASE_SUCCEEDED", json.loads(muster("get", job, "--output", "json"))["phase"])
        muster("export", job, "/client/model")
        self.assertTrue((client / "model/model.safetensors").is_file(), list(client.rglob("*")))


if __name__ == "__main__":
    prepare()
    unittest.main()
