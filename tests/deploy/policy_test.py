"""The rules of policy.py hold for everything shipped, and each of them can fail."""
import copy
import unittest

import manifests
import policy


def part(objects, kind, component):
    return next(thing for thing in objects if thing["kind"] == kind and thing["metadata"]["name"].endswith(component))


def pod(objects, component):
    return next(template["spec"] for owner, template in policy.pods(objects) if owner["metadata"]["name"].endswith(component))


def container(objects, component):
    return pod(objects, component)["containers"][0]


def volume(objects, component, name):
    return next(v for v in pod(objects, component)["volumes"] if v["name"] == name)


def put_argument(objects, component, old, new):
    args = container(objects, component)["args"]
    args[args.index(old)] = new


def policy_rules(objects, component, direction):
    return part(objects, "NetworkPolicy", component)["spec"][direction]


# A fault, and a piece of the finding that names it.
FAULTS = [
    (lambda o: part(o, "Service", "muster-data")["spec"]["selector"].update(x="y"), "Service muster-data: selector: selects no pod"),
    (lambda o: part(o, "StatefulSet", "data")["spec"]["selector"]["matchLabels"].update(x="y"), "does not select its own pods"),
    (lambda o: part(o, "PodDisruptionBudget", "worker")["spec"]["selector"]["matchLabels"].update(x="y"), "StatefulSet muster-worker: disruption"),
    (lambda o: part(o, "StatefulSet", "worker")["spec"].update(serviceName="other"), "serviceName: other does not exist"),
    (lambda o: part(o, "Service", "data-headless")["spec"].pop("clusterIP"), "is not headless"),
    (lambda o: part(o, "Service", "muster-data")["spec"]["ports"][0].update(targetPort="http"), "has no port http"),
    (lambda o: put_argument(o, "data", "--health=0.0.0.0:7082", "--health=0.0.0.0:7080"), "but the port health is 7082"),
    (lambda o: put_argument(o, "data", "--health=0.0.0.0:7082", "--health=127.0.0.1:7082"), "but the port health is 7082"),
    (lambda o: container(o, "worker")["livenessProbe"]["grpc"].update(port=7080), "livenessProbe does not ask the health port"),
    (lambda o: container(o, "worker")["livenessProbe"]["grpc"].pop("service"), "alive is service live"),
    (lambda o: container(o, "worker")["args"].append("--tokens=/etc/other/tokens.yaml"), "is not on a volume"),
    (lambda o: container(o, "data")["volumeMounts"][0].update(readOnly=True), "the volume is read-only"),
    (lambda o: pod(o, "worker")["volumes"].remove(volume(o, "worker", "state")), "volume: state does not exist"),
    (lambda o: container(o, "worker").pop("env"), "POD_NAME is not set"),
    (lambda o: put_argument(o, "worker", "--coordinator=muster-coordinator:7070", "--coordinator=muster-coordinator:7071"), "no Service has that name and port"),
    (lambda o: container(o, "data")["resources"]["requests"].update(memory="9999Gi"), "requests more memory than its limit"),
    (lambda o: container(o, "data")["resources"]["limits"].pop("memory"), "memory is not requested and limited"),
    (lambda o: volume(o, "worker", "state")["emptyDir"].update(sizeLimit="900Gi"), "more than its limit of ephemeral storage"),
    (lambda o: volume(o, "worker", "shm")["emptyDir"].update(sizeLimit="900Gi"), "/dev/shm may hold more"),
    (lambda o: pod(o, "worker")["securityContext"].update(runAsUser=0), "does not run as 65532"),
    (lambda o: pod(o, "data").update(automountServiceAccountToken=True), "its token is mounted"),
    (lambda o: pod(o, "data").update(terminationGracePeriodSeconds=30), "shorter than a save"),
    (lambda o: pod(o, "worker").update(terminationGracePeriodSeconds=110), "is no longer than a save, 110 s"),
    (lambda o: pod(o, "data")["volumes"].append({"name": "host", "hostPath": {"path": "/"}}), "has a kind that pods may not have"),
    (lambda o: container(o, "data")["securityContext"].update(readOnlyRootFilesystem=False), "root file system: is writable"),
    (lambda o: container(o, "data")["securityContext"]["capabilities"].update(add=["NET_ADMIN"]), "are not all dropped"),
    (lambda o: part(o, "PodDisruptionBudget", "worker")["spec"].pop("unhealthyPodEvictionPolicy"), "keeps its node from being drained"),
    (lambda o: part(o, "Service", "muster-data")["spec"]["ports"][0].pop("appProtocol"), "grpc is tls, which a mesh has to know"),
    (lambda o: policy_rules(o, "worker", "egress")[-1]["ports"].pop(), "may not ask the cluster's DNS: [('TCP', 5353)]"),
    (lambda o: policy_rules(o, "backup", "egress")[-1]["to"].pop(), "CronJob muster-backup: name service: may not ask NodeLocal"),
    (lambda o: o.append({"kind": "ClusterRole", "metadata": {"name": "x", "labels": {}}}), "no program of Muster calls the API server"),
    (lambda o: policy_rules(o, "coordinator", "egress").pop(0), "may not call muster-data"),
    (lambda o: policy_rules(o, "data", "ingress").pop(0), "does not let StatefulSet muster-worker in to 7072"),
    (lambda o: policy_rules(o, "worker", "ingress").pop(0), "ranks do not reach each other"),
    (lambda o: policy_rules(o, "worker", "ingress")[0].pop("from"), "their tensors are not encrypted"),
    (lambda o: policy_rules(o, "worker", "ingress")[1].pop("from"), "and only Prometheus, must reach the metrics"),
    (lambda o: policy_rules(o, "worker", "ingress")[1]["from"][0].pop("namespaceSelector"), "and only Prometheus, must reach the metrics"),
    (lambda o: part(o, "Certificate", "coordinator")["spec"]["dnsNames"].pop(0), "is not for muster-coordinator"),
    (lambda o: part(o, "Certificate", "data")["spec"]["dnsNames"].pop(1), "is not for muster-data.muster.svc"),
    (lambda o: part(o, "Certificate", "worker")["spec"].update(commonName="worker"), "does not cover the pods' names"),
    (lambda o: part(o, "Certificate", "worker")["spec"]["subject"].update(organizationalUnits=["submitter"]), "is not its role"),
    (lambda o: part(o, "Certificate", "backup")["spec"]["subject"].update(organizationalUnits=["viewer"]), "CronJob muster-backup: certificate"),
    (lambda o: o.remove(part(o, "PersistentVolumeClaim", "backups")), "the claim muster-backups does not exist"),
    (lambda o: put_argument(o, "backup", "/var/lib/muster/backups", "/backups"), "/backups is not on a volume"),
    (lambda o: policy_rules(o, "backup", "egress").pop(0), "CronJob muster-backup: network: may not call muster-coordinator:7070"),
    (lambda o: policy_rules(o, "backup", "egress").pop(1), "CronJob muster-backup: network: may not call muster-data"),
    (lambda o: pod(o, "backup").pop("securityContext"), "CronJob muster-backup: user"),
    (lambda o: part(o, "ServiceMonitor", "data")["spec"]["endpoints"][0].update(port="grpc"), "is in 2 services, not in one"),
    (lambda o: part(o, "PodMonitor", "worker")["spec"]["podMetricsEndpoints"][0].update(port="http"), "has no port http"),
]


class Policy(unittest.TestCase):
    def test_nothing_that_is_shipped_has_a_finding(self):
        for name, objects in manifests.rendered():
            with self.subTest(name):
                self.assertEqual([], policy.findings(objects))

    def test_the_restore_fits_together_with_the_gpu_pool(self):
        self.assertEqual([], policy.findings(manifests.overlay("gpu-pool") + manifests.restore()))

    def test_each_rule_finds_its_fault(self):
        shipped = manifests.overlay("gpu-pool")
        for fault, expected in FAULTS:
            with self.subTest(expected):
                objects = copy.deepcopy(shipped)
                fault(objects)
                found = policy.findings(objects)
                self.assertTrue(any(expected in line for line in found), f"{expected!r} is not among {found}")


if __name__ == "__main__":
    unittest.main()
