"""Helpers to examine rendered objects."""
import re


def of_kind(objects, *kinds):
    return [thing for thing in objects if thing["kind"] in kinds]


def quantity(text):
    """A Kubernetes quantity as a number."""
    number, unit = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(text)).groups()
    factors = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
               "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
    return float(number) * factors[unit]


def matches(selector, labels):
    wanted = selector.get("matchLabels", selector)
    return all(labels.get(key) == value for key, value in wanted.items())


def pods(objects):
    """(owner, pod template) of every workload."""
    return ([(thing, thing["spec"]["template"]) for thing in of_kind(objects, "StatefulSet", "DaemonSet", "Deployment", "Job")] +
            [(thing, thing["spec"]["jobTemplate"]["spec"]["template"]) for thing in of_kind(objects, "CronJob")])


def containers(objects):
    for owner, template in pods(objects):
        for container in template["spec"].get("initContainers", []) + template["spec"]["containers"]:
            yield owner, template, container


def flag(container, name):
    """The value of --name=value among the arguments; None if it is absent."""
    for word in container.get("args", []):
        if word.startswith(f"--{name}="):
            return word.split("=", 1)[1]
    return None


def is_server(owner):
    """Whether its pods keep running; the others do one thing and end."""
    return owner["kind"] not in ("Job", "CronJob")


def container_ports(container):
    return {port["name"]: port["containerPort"] for port in container.get("ports", [])}


def title(thing):
    return f"{thing['kind']} {thing['metadata']['name']}"
