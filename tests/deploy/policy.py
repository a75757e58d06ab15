"""Checks that schemas cannot make: that objects fit together, and that pods have no more rights than they need.

`findings(objects)` returns one line per fault, `OBJECT: rule: what is wrong`.
"""
import re

import devices
from objects import (container_ports, containers, flag, is_server, matches, of_kind, pods, quantity,  # noqa: F401
                     title)

LABEL = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
RECOMMENDED = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/part-of")
# Only kubelets ask these: policies do not block traffic from the pod's own node.
PROBES_ONLY = {"health"}
# The protocols that a service mesh must know: TLS that it must not open, and plain HTTP.
APP_PROTOCOLS = {"grpc": "tls", "metrics": "http"}
# Flags with a server's address.
ADDRESSES = ("coordinator", "data", "address")
# The role in a part's certificate, where it is not the part's name.
ROLES = {"backup": "operator"}


def server_at(container, option):
    """HOST:PORT of the flag; None if there is none. The restore's --coordinator and --data are folders."""
    value = flag(container, option)
    return None if value is None or value.startswith("/") else value


def names_and_labels(objects):
    for thing in objects:
        labels = thing["metadata"].get("labels", {})
        for key in RECOMMENDED:
            if key not in labels:
                yield thing, "recommended label", f"{key} is missing"
        for key, value in labels.items():
            if not LABEL.match(str(value)) or len(str(value)) > 63:
                yield thing, "label", f"{key}: {value!r} is not a label value"
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", thing["metadata"]["name"]):
            yield thing, "name", "is not a DNS name"


def selectors(objects):
    for owner, template in pods(objects):
        if is_server(owner) and not matches(owner["spec"]["selector"], template["metadata"]["labels"]):
            yield owner, "selector", "does not select its own pods"
        for rule in template["spec"].get("topologySpreadConstraints", []):
            if not matches(rule["labelSelector"], template["metadata"]["labels"]):
                yield owner, "topology spread", "does not select its own pods"
        for claim in owner["spec"].get("volumeClaimTemplates", []):
            if "app.kubernetes.io/version" in claim["metadata"].get("labels", {}):
                yield owner, "volume claim", "its labels may never change, and the version does"
        if "app.kubernetes.io/version" in owner["spec"].get("selector", {}).get("matchLabels", {}):
            yield owner, "selector", "may never change, and the version does"
    for thing in of_kind(objects, "Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        selector = thing["spec"].get("podSelector") if thing["kind"] == "NetworkPolicy" else thing["spec"]["selector"]
        if not any(matches(selector, template["metadata"]["labels"]) for _, template in pods(objects)):
            yield thing, "selector", "selects no pod"
    for thing in of_kind(objects, "ServiceMonitor"):
        chosen = [s for s in of_kind(objects, "Service") if matches(thing["spec"]["selector"], s["metadata"].get("labels", {}))]
        for endpoint in thing["spec"]["endpoints"]:
            found = [s for s in chosen if any(port["name"] == endpoint["port"] for port in s["spec"]["ports"])]
            if len(found) != 1:
                yield thing, "scrape", f"port {endpoint['port']} is in {len(found)} services, not in one"
    for thing in of_kind(objects, "PodMonitor"):
        for endpoint in thing["spec"]["podMetricsEndpoints"]:
            for owner, template, container in containers(objects):
                if matches(thing["spec"]["selector"], template["metadata"]["labels"]) and \
                        endpoint["port"] not in container_ports(container):
                    yield thing, "scrape", f"{title(owner)} has no port {endpoint['port']}"


def services(objects):
    known = {s["metadata"]["name"]: s for s in of_kind(objects, "Service")}
    for owner, template in pods(objects):
        if owner["kind"] != "StatefulSet":
            continue
        service = known.get(owner["spec"]["serviceName"])
        if service is None:
            yield owner, "serviceName", f"{owner['spec']['serviceName']} does not exist"
        elif service["spec"].get("clusterIP") != "None":
            yield owner, "serviceName", "is not headless"
    for service in known.values():
        for owner, template, container in containers(objects):
            if not matches(service["spec"]["selector"], template["metadata"]["labels"]):
                continue
            ports = container_ports(container)
            for port in service["spec"]["ports"]:
                target = port["targetPort"]
                if port.get("appProtocol") != APP_PROTOCOLS.get(port["name"]):
                    yield service, "appProtocol", f"{port['name']} is {APP_PROTOCOLS.get(port['name'])}, which a mesh has to know"
                if target not in ports and target not in ports.values():
                    yield service, "targetPort", f"{title(owner)} has no port {target}"
                elif ports.get(target) != port["port"]:
                    yield service, "port", f"{port['port']} leads to {ports.get(target)}: one number for one thing"


def flags(objects):
    """Compares ports, probes, paths and addresses in the arguments with the rest of the pod."""
    service_ports = {s["metadata"]["name"]: {p["port"] for p in s["spec"]["ports"]} for s in of_kind(objects, "Service")}
    for owner, template, container in containers(objects):
        ports = container_ports(container)
        for name, option in (("grpc", "listen"), ("metrics", "metrics"), ("health", "health")):
            value = flag(container, option)
            if (value is None) != (name not in ports):
                yield owner, "port", f"--{option} and the port {name} go together"
            elif value is not None and value != f"0.0.0.0:{ports[name]}":
                yield owner, "port", f"--{option}={value}, but the port {name} is {ports[name]}"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if container.get(probe, {}).get("grpc", {}).get("port") != ports.get("health"):
                yield owner, "probe", f"{probe} does not ask the health port by gRPC"
        if is_server(owner) and "health" not in ports:
            yield owner, "probe", "has no health port"
        if is_server(owner) and (container.get("livenessProbe", {}).get("grpc", {}).get("service") != "live" or
                                 container.get("readinessProbe", {}).get("grpc", {}).get("service", "") != ""):
            yield owner, "probe", "alive is service live, ready is the empty service"
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        written = [word for word in container.get("args", []) if not word.startswith("--")]  # the CLI's folders
        named = [(word, word, True) for word in written] + [
            (f"--{option}={flag(container, option)}", flag(container, option), option == "state")
            for option in ("state", "certs", "tokens") if flag(container, option)]
        for word, path, writable in named:
            above = [mount for mount in mounts if (path + "/").startswith(mount + "/")]
            if not above:
                yield owner, "path", f"{word} is not on a volume"
            elif writable == mounts[above[0]].get("readOnly", False):
                yield owner, "path", f"{word}: the volume is {'read-only' if writable else 'writable'}"
        volumes = {volume["name"] for volume in template["spec"].get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in owner["spec"].get("volumeClaimTemplates", [])}
        for mount in container["volumeMounts"]:
            if mount["name"] not in volumes:
                yield owner, "volume", f"{mount['name']} does not exist"
        env = {entry["name"] for entry in container.get("env", [])}
        for word in container.get("args", []):
            for name in re.findall(r"\$\((\w+)\)", word):
                if name not in env:
                    yield owner, "environment", f"{word}: {name} is not set"
        for option in ADDRESSES:
            value = server_at(container, option)
            if value is not None:
                host, port = value.rsplit(":", 1)
                if int(port) not in service_ports.get(host.split(".")[0], ()):
                    yield owner, "address", f"--{option}={value}: no Service has that name and port"


def resources(objects):
    for owner, template, container in containers(objects):
        wanted, limits = (container["resources"].get(key, {}) for key in ("requests", "limits"))
        for key in ("cpu", "memory", "ephemeral-storage"):
            if key not in wanted or key not in limits:
                yield owner, "resources", f"{key} is not requested and limited"
        for key, value in wanted.items():
            if key in limits and quantity(value) > quantity(limits[key]):
                yield owner, "resources", f"requests more {key} than its limit"
            if "/" in key and value != limits.get(key):
                yield owner, "resources", f"{key}: request and limit of an extended resource are equal"
        scratch = sum(quantity(v["emptyDir"]["sizeLimit"]) for v in template["spec"].get("volumes", [])
                      if "emptyDir" in v and v["emptyDir"].get("medium") != "Memory")
        if scratch > quantity(limits.get("ephemeral-storage", 0)):
            yield owner, "resources", "its emptyDirs may hold more than its limit of ephemeral storage"
        shared = sum(quantity(v["emptyDir"]["sizeLimit"]) for v in template["spec"].get("volumes", [])
                     if v.get("emptyDir", {}).get("medium") == "Memory")
        if shared >= quantity(limits.get("memory", 0)):
            yield owner, "resources", "/dev/shm may hold more than its limit of memory"
        for volume in template["spec"].get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield owner, "resources", f"emptyDir {volume['name']} has no limit"


def restricted(objects):
    """Pod Security Standards, level restricted, and Muster's stricter rules."""
    claims = {c["metadata"]["name"] for c in of_kind(objects, "PersistentVolumeClaim")} | {
        f"{claim['metadata']['name']}-{owner['metadata']['name']}-0"
        for owner in of_kind(objects, "StatefulSet") for claim in owner["spec"].get("volumeClaimTemplates", [])}
    for owner, template in pods(objects):
        spec = template["spec"]
        security = spec.get("securityContext", {})
        if not (security.get("runAsNonRoot") and security.get("runAsUser") == 65532 and security.get("fsGroup") == 65532):
            yield owner, "user", "does not run as 65532"
        if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield owner, "seccomp", "is not RuntimeDefault"
        if spec.get("automountServiceAccountToken") is not False:
            yield owner, "service account", "its token is mounted"
        if spec.get("enableServiceLinks") is not False:
            yield owner, "environment", "the namespace's services are put into it"
        if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            yield owner, "host", "shares the host's namespaces"
        if not spec.get("terminationGracePeriodSeconds", 30) > 30:
            yield owner, "grace", "the default of 30 s is shorter than a save"
        # A worker's ranks have 100 s to save, unless --drain-timeout sets another time, and 10 s more to end.
        save = max(float(flag(c, "drain-timeout") or 100) + 10 if server_at(c, "coordinator") else 0 for c in spec["containers"])
        if spec.get("terminationGracePeriodSeconds", 30) <= save:
            yield owner, "grace", f"is no longer than a save, {save:.0f} s"
        for volume in spec.get("volumes", []):
            if not set(volume) & {"emptyDir", "secret", "configMap", "projected", "persistentVolumeClaim"}:
                yield owner, "volume", f"{volume['name']} has a kind that pods may not have"
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and claim not in claims:
                yield owner, "volume", f"the claim {claim} does not exist"
            if "secret" in volume and volume["secret"].get("defaultMode") != 0o440:
                yield owner, "secret", f"{volume['name']}: the mode is not 0440"
        accounts = {thing["metadata"]["name"]: thing for thing in of_kind(objects, "ServiceAccount")}
        account = accounts.get(spec.get("serviceAccountName"))
        if account is None or account.get("automountServiceAccountToken") is not False:
            yield owner, "service account", "is not one of its own without a token"
    for owner, _, container in containers(objects):
        security = container.get("securityContext", {})
        if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
            yield owner, "privileges", "may be raised"
        if security.get("readOnlyRootFilesystem") is not True:
            yield owner, "root file system", "is writable"
        if security.get("capabilities", {}).get("drop") != ["ALL"] or security["capabilities"].get("add"):
            yield owner, "capabilities", "are not all dropped"
    for thing in of_kind(objects, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"):
        yield thing, "rights", "no program of Muster calls the API server"
    for thing in of_kind(objects, "Secret"):
        yield thing, "secret", "is shipped"
    for thing in of_kind(objects, "Namespace"):
        if thing["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
            yield thing, "pod security", "is not restricted"


def disruption(objects):
    for owner, template in pods(objects):
        if not is_server(owner):
            continue  # an evicted pod starts over
        budgets = [b for b in of_kind(objects, "PodDisruptionBudget")
                   if matches(b["spec"]["selector"], template["metadata"]["labels"])]
        if len(budgets) != 1:
            yield owner, "disruption", f"{len(budgets)} budgets"
        for budget in budgets:
            if budget["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
                yield budget, "disruption", "a pod that is not ready keeps its node from being drained"


def allowed(objects, policy, direction, peer_labels, port):
    """Whether the policy lets pods with these labels through. `None` for labels: anyone."""
    for rule in policy["spec"].get(direction.lower(), []):
        peers = rule.get("from" if direction == "Ingress" else "to")
        fits = peers is None or peer_labels is not None and any(
            not {"namespaceSelector", "ipBlock"} & set(peer) and matches(peer["podSelector"], peer_labels) for peer in peers)
        if fits and any(p["port"] <= port <= p.get("endPort", p["port"]) for p in rule["ports"]):
            return True
    return False


def network(objects):
    policies = of_kind(objects, "NetworkPolicy")

    def chosen(labels):
        return [p for p in policies if matches(p["spec"]["podSelector"], labels)]

    def passes(direction, labels, peer, port):
        return any(allowed(objects, p, direction, peer, port) for p in chosen(labels) if direction in p["spec"]["policyTypes"])

    by_part = {}
    for owner, template in pods(objects):
        labels = template["metadata"]["labels"]
        by_part[labels["app.kubernetes.io/component"]] = (owner, labels)
        for direction in ("Ingress", "Egress"):
            if not any(direction in p["spec"]["policyTypes"] for p in chosen(labels)):
                yield owner, "network", f"{direction} is open"
    # Which workload calls which, by the flags; ranks call each other and the data server.
    for owner, template, container in containers(objects):
        labels = template["metadata"]["labels"]
        calls = [server_at(container, option) for option in ADDRESSES]
        if server_at(container, "coordinator") or server_at(container, "address"):
            calls += [value for _, _, other in containers(objects) for value in [server_at(other, "data")] if value]
        for address in filter(None, calls):
            host, port = address.rsplit(":", 1)
            service = next((s for s in of_kind(objects, "Service") if s["metadata"]["name"] == host.split(".")[0]), None)
            if service is None:
                continue  # outside the cluster; the rule `address` covers it
            other, other_labels = by_part[service["spec"]["selector"]["app.kubernetes.io/component"]]
            if not passes("Egress", labels, other_labels, int(port)):
                yield owner, "network", f"may not call {address}"
            if not passes("Ingress", other_labels, labels, int(port)):
                yield other, "network", f"does not let {title(owner)} in to {port}"
        for port in container.get("ports", []):
            if port["name"] == "grpc" and not passes("Ingress", labels, None, port["containerPort"]):
                yield owner, "network", "clients do not reach it"
            if port["name"] == "metrics" and not any(
                    any(p["port"] == port["containerPort"] for p in rule["ports"]) and
                    all("namespaceSelector" in peer for peer in rule.get("from", [{}]))
                    for policy in chosen(labels) for rule in policy["spec"].get("ingress", [])):
                yield owner, "network", "Prometheus, and only Prometheus, must reach the metrics"
            if port["name"] in PROBES_ONLY and passes("Ingress", labels, None, port["containerPort"]):
                yield owner, "network", "anyone reaches the health port"
    worker, labels = by_part["worker"]
    for port in (1024, 32768, 65535):
        if not (passes("Ingress", labels, labels, port) and passes("Egress", labels, labels, port)):
            yield worker, "network", f"ranks do not reach each other on port {port}"
        for part, (other, other_labels) in by_part.items():
            if passes("Ingress", labels, None, port) or part != "worker" and passes("Ingress", labels, other_labels, port):
                yield worker, "network", f"more than workers reach the ranks on port {port}: their tensors are not encrypted"


def name_service(objects):
    """Pods that call others by name can reach CoreDNS, OpenShift's DNS and NodeLocal DNSCache."""
    for owner, template, container in containers(objects):
        if not any(server_at(container, option) for option in ADDRESSES):
            continue
        rules = [rule for policy in of_kind(objects, "NetworkPolicy") for rule in policy["spec"].get("egress", [])
                 if matches(policy["spec"]["podSelector"], template["metadata"]["labels"])]
        ports = {(p["protocol"], p["port"]) for rule in rules if any("namespaceSelector" in peer for peer in rule["to"])
                 for p in rule["ports"]}
        missing = {(protocol, port) for protocol in ("UDP", "TCP") for port in (53, 5353)} - ports
        if missing:
            yield owner, "name service", f"may not ask the cluster's DNS: {sorted(missing)}"
        if not any("ipBlock" in peer for rule in rules for peer in rule["to"]):
            yield owner, "name service", "may not ask NodeLocal DNSCache"


def certificates(objects):
    made = of_kind(objects, "Certificate")
    if not made:
        return
    secrets = {c["spec"]["secretName"] for c in made}
    issuers = {i["metadata"]["name"] for i in of_kind(objects, "Issuer")}
    for thing in made:
        if thing["spec"]["issuerRef"]["name"] not in issuers:
            yield thing, "issuer", f"{thing['spec']['issuerRef']['name']} does not exist"
    for owner, template in pods(objects):
        part = template["metadata"]["labels"]["app.kubernetes.io/component"]
        name = next((v["secret"]["secretName"] for v in template["spec"]["volumes"] if v["name"] == "certs"), None)
        if name is None:
            continue
        if name not in secrets:
            yield owner, "certificate", f"nothing makes the Secret {name}"
            continue
        spec = next(c["spec"] for c in made if c["spec"]["secretName"] == name)
        if spec["subject"]["organizationalUnits"] != [ROLES.get(part, part)]:
            yield owner, "certificate", "its organizational unit is not its role"
        if part == "worker" and spec["commonName"] != f"{owner['metadata']['name']}-*":
            yield owner, "certificate", "does not cover the pods' names"
        for host in called_names(objects, owner):
            if host not in spec.get("dnsNames", []):
                yield owner, "certificate", f"is not for {host}, by which it is called"


def called_names(objects, owner):
    """The host names in flags that lead to the owner's Service."""
    namespace = owner["metadata"]["namespace"]
    for _, _, container in containers(objects):
        for option in ADDRESSES:
            value = server_at(container, option)
            if value and value.rsplit(":", 1)[0].split(".")[0] == owner["metadata"]["name"]:
                yield value.rsplit(":", 1)[0].replace("$(POD_NAMESPACE)", namespace)


RULES = (names_and_labels, selectors, services, flags, resources, restricted, disruption, network, name_service, certificates,
         devices.images, devices.gpus, devices.shared_memory, devices.placement)


def findings(objects):
    return [f"{title(thing)}: {rule}: {what}" for check in RULES for thing, rule, what in check(objects)]
