"""Image, arguments, device and resources of every workload fit together, for CPU and GPU, in the overlays and the
chart; each rule can fail; and the chart's values for environment, volumes, placement and images reach the right
pods."""
import copy
import pathlib
import tempfile
import unittest

import manifests
import objects
import policy
from devices import built, image_parts
from manifests import yaml
from policy_test import container, pod, put_argument, volume

GPU_VALUES = ("--values", manifests.ROOT / "deploy/helm/values/gpu-pool.yaml")
DIGEST = "sha256:" + "0123456789abcdef" * 4
KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


def gpus(o, count):
    for side in ("requests", "limits"):
        container(o, "worker")["resources"][side]["nvidia.com/gpu"] = count


# A fault of the GPU pool, and a piece of the finding that names it.
FAULTS = [
    (lambda o: container(o, "worker").update(image="muster-worker:0.1.0"), "image: muster-worker with --device=gpu is in muster-worker-cuda"),
    (lambda o: container(o, "worker").update(image="registry.example/muster-worker:7"), "is in muster-worker-cuda, not in muster-worker"),
    (lambda o: container(o, "worker").update(image="muster-worker-cuda:0.1.0-cuda"), "build makes no muster-worker-cuda:0.1.0-cuda"),
    (lambda o: container(o, "data").update(image="muster-coordinator"), "has no fixed tag"),
    (lambda o: container(o, "data").update(image="registry.example:5000/muster-coordinator"), "has no fixed tag"),
    (lambda o: container(o, "data").update(image="muster-worker:0.1.0"), "is in muster-coordinator, not in muster-worker"),
    (lambda o: put_argument(o, "worker", "--device=gpu", "--device=cpu"), "gpus: --device=cpu, and it holds 8"),
    (lambda o: put_argument(o, "worker", "--device=gpu", "--device=auto"), "what runs would depend on the node"),
    (lambda o: gpus(o, "0"), "gpus: --device=gpu, and it holds 0"),
    (lambda o: container(o, "worker")["resources"]["requests"].pop("nvidia.com/gpu"), "requests 0 and is limited to 8"),
    (lambda o: container(o, "worker")["args"].append("--slots=4"), "--slots=4, and it holds 8"),
    (lambda o: container(o, "data")["resources"]["limits"].update({"nvidia.com/gpu": "1"}), "StatefulSet muster-data: gpus: holds 1"),
    (lambda o: container(o, "worker")["args"].remove("--interface=$(POD_IP)"), "where ranks talk to each other"),
    (lambda o: volume(o, "worker", "shm")["emptyDir"].pop("medium"), "/dev/shm: is not a memory volume"),
    (lambda o: volume(o, "worker", "shm")["emptyDir"].update(sizeLimit="4Gi"), "1 GiB per GPU (4 GiB)"),
    (lambda o: pod(o, "worker").pop("tolerations"), "does not tolerate the taint"),
]


def worker_image(rendered):
    return container(rendered, "worker")["image"]


class Rules(unittest.TestCase):
    def test_each_rule_finds_its_fault(self):
        shipped = manifests.overlay("gpu-pool")
        for fault, expected in FAULTS:
            with self.subTest(expected):
                changed = copy.deepcopy(shipped)
                fault(changed)
                found = policy.findings(changed)
                self.assertTrue(any(expected in line for line in found), f"{expected!r} is not among {found}")

    def test_a_cpu_worker_says_its_slots(self):
        changed = copy.deepcopy(manifests.overlay("single-node"))
        container(changed, "worker")["args"].remove("--slots=2")
        self.assertTrue(any("how many ranks run at once" in line for line in policy.findings(changed)))


class Devices(unittest.TestCase):
    def test_gpu_workers_have_the_cuda_image_and_cpu_workers_do_not(self):
        for name, rendered in manifests.rendered():
            device = objects.flag(container(rendered, "worker"), "device")
            self.assertEqual("cpu" if "single-node" in name else "gpu", device, name)
            wanted = {"gpu": "muster-worker-cuda", "cpu": "muster-worker"}[device]
            self.assertEqual(f"{wanted}:{built()[wanted]}", worker_image(rendered), name)

    def test_single_node_fits_on_two_cores_together_with_the_system(self):
        for rendered in (manifests.overlay("single-node"), manifests.chart("single-node")):
            requests = [c["resources"]["requests"] for _, _, c in objects.containers(rendered)]
            self.assertLessEqual(sum(objects.quantity(r["cpu"]) for r in requests), 1.0, "kind's own pods request 0.95 of 2")
            self.assertLessEqual(sum(objects.quantity(r["memory"]) for r in requests), 3 * 2**30)

    def test_the_chart_refuses_devices_and_gpus_that_contradict_each_other(self):
        gpu = ("--set", r"worker.resources.limits.nvidia\.com/gpu=8,worker.resources.requests.nvidia\.com/gpu=8")
        for words, named in ((("--set", "worker.device=gpu"), r"worker.resources.limits has no nvidia.com/gpu"),
                             (gpu, "worker.device is cpu, but worker.resources.limits holds 8 GPUs"),
                             ((*gpu, "--set", "worker.device=gpu"), "worker.slots is 2, but a worker's pod has 8 GPUs"),
                             (("--set", "worker.slots=null"), "worker.slots is needed")):
            with self.assertRaisesRegex(AssertionError, named):
                manifests.helm_template(*words)


class Images(unittest.TestCase):
    def test_every_image_has_repository_tag_and_digest_of_its_own_in_the_chart(self):
        for key, name, words in (("coordinator", "data", ()), ("coordinator", "backup", GPU_VALUES), ("worker", "worker", ()),
                                 ("workerCuda", "worker", GPU_VALUES)):
            rendered = manifests.helm_template(*words, "--set", f"images.registry=registry.example/ml,images.{key}.tag=v7")
            plain = container(manifests.helm_template(*words), name)["image"].split(":")[0]
            self.assertEqual(f"registry.example/ml/{plain}:v7", container(rendered, name)["image"])
            rendered = manifests.helm_template(*words, "--set", f"images.{key}.tag=v7,images.{key}.digest={DIGEST},images.{key}.repository=a/b")
            self.assertEqual(f"a/b@{DIGEST}", container(rendered, name)["image"], "a digest wins over the tag")
            others = [c["image"] for _, _, c in objects.containers(rendered) if c["image"] != f"a/b@{DIGEST}"]
            self.assertTrue(others and all(image_parts(image)[1] in built() for image in others), others)

    def test_every_image_can_be_replaced_in_an_overlay(self):
        images = [{"name": name, "newName": f"registry.example/ml/{name}", "digest": DIGEST} for name in built()]
        for overlay in manifests.OVERLAYS:
            rendered = own_overlay({"resources": [f"../{overlay}"], "images": images})
            for owner, _, c in objects.containers(rendered):
                self.assertRegex(c["image"], f"^registry.example/ml/muster-[a-z-]+@{DIGEST}$", owner["metadata"]["name"])
            self.assertEqual([], policy.findings(rendered))

    def test_wrong_digests_and_tags_are_refused(self):
        for setting in ("images.worker.digest=sha256:12", "images.worker.tag=a b", "images.worker.repository=Muster", "image.tag=1"):
            with self.assertRaisesRegex(AssertionError, setting.split("=")[0].split(".")[-1]):
                manifests.helm_template("--set", setting)


def own_overlay(kustomization):
    with tempfile.TemporaryDirectory(dir=manifests.KUBERNETES / "overlays") as folder:
        (pathlib.Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump({**KUSTOMIZATION, **kustomization}))
        return manifests.kustomize(folder)


class Pods(unittest.TestCase):
    VALUES = {
        "extraEnv": [{"name": "FI_PROVIDER", "value": "efa"},
                     {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        "extraVolumes": [{"name": "corpus", "configMap": {"name": "corpus"}}],
        "extraVolumeMounts": [{"name": "corpus", "mountPath": "/corpus", "readOnly": True}],
        "podAnnotations": {"example.com/a": "b"}, "podLabels": {"kueue.x-k8s.io/queue-name": "gpus"},
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:x"}},
        "priorityClassName": "high", "runtimeClassName": "nvidia", "nodeSelector": {"pool": "a"},
        "tolerations": [{"key": "t", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "k", "operator": "Exists"}]}]}}},
    }

    def render(self, values):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(yaml.safe_dump(values))
            file.flush()
            return manifests.helm_template("--values", file.name)

    def test_every_workload_takes_environment_volumes_metadata_and_placement(self):
        for part in ("coordinator", "data", "worker", "backup"):
            spread = {} if part == "backup" else {"topologySpreadConstraints": [
                {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]}
            rendered = self.render({part: {**self.VALUES, **spread}, "backup": {"enabled": True, **(self.VALUES if part == "backup" else {})},
                                    "images": {"pullSecrets": [{"name": "pull"}]}})
            with self.subTest(part):
                for owner, template in objects.pods(rendered):
                    spec, one = template["spec"], template["spec"]["containers"][0]
                    mine = owner["metadata"]["name"] == f"muster-{part}"
                    self.assertEqual([{"name": "pull"}], spec["imagePullSecrets"])
                    self.assertEqual(mine, self.VALUES["extraEnv"] == one.get("env", [])[-2:])
                    self.assertEqual(mine, self.VALUES["extraVolumes"][0] in spec["volumes"])
                    self.assertEqual(mine, self.VALUES["extraVolumeMounts"][0] in one["volumeMounts"])
                    self.assertEqual(mine, template["metadata"].get("annotations") == self.VALUES["podAnnotations"])
                    self.assertEqual(mine, "kueue.x-k8s.io/queue-name" in template["metadata"]["labels"])
                    for key in ("priorityClassName", "runtimeClassName", "nodeSelector", "tolerations", "affinity"):
                        self.assertEqual(mine, spec.get(key) == self.VALUES[key], key)
                    if mine and spread:
                        rule, = spec["topologySpreadConstraints"]
                        self.assertEqual("zone", rule["topologyKey"])
                accounts = {o["metadata"]["name"]: o["metadata"].get("annotations") for o in objects.of_kind(rendered, "ServiceAccount")}
                self.assertEqual({f"muster-{part}"}, {name for name, annotations in accounts.items() if annotations})
                self.assertEqual([], policy.findings(rendered))

    def test_variables_for_ranks_are_set_and_let_through(self):
        rendered = manifests.helm_template("--set", "worker.rankEnv[0].name=PYTORCH_CUDA_ALLOC_CONF", "--set",
                                           "worker.rankEnv[0].value=expandable_segments:True", "--set", "worker.interface=net1")
        worker = container(rendered, "worker")
        self.assertIn("--rank-env=PYTORCH_CUDA_ALLOC_CONF", worker["args"])
        self.assertIn("--interface=net1", worker["args"])
        self.assertIn({"name": "PYTORCH_CUDA_ALLOC_CONF", "value": "expandable_segments:True"}, worker["env"])

    def test_capabilities_are_added_by_name_alone(self):
        rendered = manifests.helm_template("--set", "worker.addCapabilities[0]=IPC_LOCK")
        self.assertEqual({"drop": ["ALL"], "add": ["IPC_LOCK"]}, container(rendered, "worker")["securityContext"]["capabilities"])
        with self.assertRaisesRegex(AssertionError, "addCapabilities"):
            manifests.helm_template("--set", "worker.addCapabilities[0]=SYS_ADMIN")

    def test_the_component_for_the_runtime_class_is_for_workers_alone(self):
        rendered = own_overlay({"resources": ["../gpu-pool"], "components": ["../../components/nvidia-runtime-class"]})
        classes = {owner["metadata"]["name"]: template["spec"].get("runtimeClassName") for owner, template in objects.pods(rendered)}
        self.assertEqual({"muster-worker": "nvidia"}, {name: value for name, value in classes.items() if value})

    def test_values_that_would_break_a_pod_are_refused(self):
        for setting, named in (("worker.extraEnv[0].name=POD_IP", "extraEnv"), ("worker.extraEnv[0].nam=A", "extraEnv"),
                               ("data.extraVolumes[0].name=state", "extraVolumes"), ("data.tolerations[0].effect=Never", "tolerations"),
                               ("data.extraVolumeMounts[0].name=a", "mountPath"), ("worker.affinity.podAfinity.a=b", "podAfinity"),
                               (r"worker.podLabels.app\.kubernetes\.io/name=x", "podLabels"), ("worker.priorityClassName=High!", "priorityClassName"),
                               ("worker.topologySpreadConstraints[0].maxSkew=0", "topologySpreadConstraints"),
                               ("images.pullSecrets[0].nam=a", "pullSecrets")):
            with self.assertRaisesRegex(AssertionError, named):
                manifests.helm_template("--set", setting)


if __name__ == "__main__":
    unittest.main()
