"""Starts the pods of rendered manifests on this machine, exactly as written: commands, arguments, environment, users,
volumes with their modes, names of services and pods. They share the caller's network namespace; each has its own
address in it.
"""
import json
import os
import pathlib
import re
import subprocess
import sys

import grpc

import policy

HERE = pathlib.Path(__file__).parent
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def write_volume(folder, files, group):
    """Files as the kubelet writes a Secret: behind two links, so that all of them change at once."""
    inner = folder / "..2026_01_01_00_00_00.1"
    inner.mkdir(parents=True)
    for name, content in files.items():
        (inner / name).write_bytes(content)
        os.chown(inner / name, 0, group)
        (inner / name).chmod(0o440)
        (folder / name).symlink_to(f"..data/{name}")
    (folder / "..data").symlink_to(inner.name)
    for path in (folder, inner):
        os.chown(path, 0, group)
        path.chmod(0o755)


class Pod:
    """The first pod of a StatefulSet, CronJob or Job, with one container."""

    def __init__(self, owner, address, folder, volumes=None):
        """`volumes`: name → folder that an earlier pod has left."""
        self.owner, self.address, self.folder, self.given = owner, address, folder, volumes or {}
        self.name = f"{owner['metadata']['name']}-0"
        (_, template), = policy.pods([owner])
        self.spec, self.labels = template["spec"], template["metadata"]["labels"]
        self.container, = self.spec["containers"]
        self.user = self.spec["securityContext"]["runAsUser"]
        self.process = None
        folder.mkdir()

    def field(self, path):
        return {"metadata.name": self.name, "metadata.namespace": self.owner["metadata"]["namespace"],
                "status.podIP": self.address}[path]

    def environment(self):
        found = {"PATH": PATH, "HOME": "/var/lib/muster", "HOSTNAME": self.name,
                 "KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
        for entry in self.container.get("env", []):
            found[entry["name"]] = entry["value"] if "value" in entry else self.field(entry["valueFrom"]["fieldRef"]["fieldPath"])
        return found

    def command(self):
        environment = self.environment()
        return [re.sub(r"\$\((\w+)\)", lambda name: environment[name[1]], word)
                for word in self.container["command"] + self.container.get("args", [])]

    def mounts(self, secrets):
        claims = {claim["metadata"]["name"] for claim in self.owner["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"]: volume for volume in self.spec["volumes"]}
        for mount in self.container["volumeMounts"]:
            name, entry = mount["name"], {"path": mount["mountPath"], "read_only": mount.get("readOnly", False)}
            folder = self.folder / f"volume-{name}"
            if name in self.given:
                folder = self.given[name]
            elif name in claims or "persistentVolumeClaim" in volumes[name]:
                folder.mkdir()
                os.chown(folder, 0, self.spec["securityContext"]["fsGroup"])
                folder.chmod(0o2775)
            elif "secret" in volumes[name]:
                assert volumes[name]["secret"]["defaultMode"] == 0o440
                write_volume(folder, secrets[volumes[name]["secret"]["secretName"]], self.spec["securityContext"]["fsGroup"])
            else:
                size = int(policy.quantity(volumes[name]["emptyDir"]["sizeLimit"]))
                yield {**entry, "tmpfs": size}
                continue
            yield {**entry, "source": str(folder)}

    def start(self, secrets, hosts, programs, libraries):
        plan = {"hostname": self.name, "command": self.command(), "environment": self.environment(), "user": self.user,
                "hosts": hosts, "programs": programs, "libraries": libraries, "mounts": list(self.mounts(secrets))}
        file = self.folder / "plan.json"
        file.write_text(json.dumps(plan))
        self.log = self.folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["unshare", "--mount", "--uts", "--ipc", sys.executable, HERE / "pod_start.py", file],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def probe(self, kind):
        """Runs the probe `kind` like the kubelet. True: SERVING; otherwise the actual answer."""
        wanted = self.container[kind]["grpc"]
        service = wanted.get("service", "").encode()
        request = (b"\x0a" + bytes([len(service)]) + service) if service else b""
        with grpc.insecure_channel(f"{self.address}:{wanted['port']}") as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=None, response_deserializer=None)
            try:
                return check(request, timeout=self.container[kind].get("timeoutSeconds", 1)) == b"\x08\x01" or "not SERVING"
            except grpc.RpcError as error:
                return f"{error.code().name}: {error.details()}"

    def seconds_for(self, kind):
        return self.container[kind]["periodSeconds"] * self.container[kind]["failureThreshold"]

    def said(self):
        return f"{self.name} {self.process.poll()}\n{self.log.read_text(errors='replace')[-4000:]}"


def hosts_file(objects, pods):
    """Every name of every Service, and its only pod's address."""
    lines = ["127.0.0.1 localhost"]
    for service in policy.of_kind(objects, "Service"):
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        pod = next(p for p in pods if policy.matches(service["spec"]["selector"], p.labels))
        lines.append(f"{pod.address} {name} {name}.{namespace} {name}.{namespace}.svc {name}.{namespace}.svc.cluster.local")
    return "\n".join(lines) + "\n"
