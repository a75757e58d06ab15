"""Rules that keep a workload's image, arguments, device, GPUs and shared memory consistent. Part of policy.py."""
import functools
import pathlib
import re
import subprocess

from objects import containers, flag, quantity

ROOT = pathlib.Path(__file__).resolve().parents[2]
GPU = "nvidia.com/gpu"
SHM_PER_GPU = 2**30  # NCCL's buffers between the ranks of a pod


@functools.lru_cache(None)
def built():
    """Name → tag of the images that deploy/images/build makes."""
    lines = subprocess.run([ROOT / "deploy/images/build", "--names"], capture_output=True, text=True, check=True).stdout.split()
    return dict(line.split(":") for line in lines)


def image_parts(image):
    """(repository with its registry, name, tag, digest); None for missing parts."""
    path, _, digest = image.partition("@")
    match = re.fullmatch(r"(.+?)(?::([^/:]+))?", path)
    return match[1], match[1].rsplit("/", 1)[-1], match[2], digest or None


def program(container):
    return container["command"][0].rsplit("/", 1)[-1]


def gpus_of(container, side):
    return int(container["resources"].get(side, {}).get(GPU, 0))


def is_worker(container):
    return program(container) == "muster-worker"


def images(objects):
    """Every image is one of Muster's or has a full name in another registry, and is pinned."""
    for owner, _, container in containers(objects):
        repository, name, tag, digest = image_parts(container["image"])
        if digest is None and tag in (None, "latest"):
            yield owner, "image", f"{container['image']} has no fixed tag"
        if repository == name and (name not in built() or digest is None and tag != built()[name]):
            yield owner, "image", f"deploy/images/build makes no {container['image']}"
        wanted = "muster-coordinator"
        if is_worker(container):
            wanted = "muster-worker-cuda" if flag(container, "device") == "gpu" else "muster-worker"
        if name in built() and name != wanted:
            yield owner, "image", f"{program(container)} with --device={flag(container, 'device')} is in {wanted}, not in {name}"


def gpus(objects):
    """A worker that has GPUs uses all of them, one rank each; no other pod requests any."""
    for owner, _, container in containers(objects):
        requested, limit, device = gpus_of(container, "requests"), gpus_of(container, "limits"), flag(container, "device")
        if requested != limit:
            yield owner, "gpus", f"requests {requested} and is limited to {limit}"
        if not is_worker(container):
            if limit:
                yield owner, "gpus", f"holds {limit} that it does not use"
            continue
        if device not in ("cpu", "gpu"):
            yield owner, "gpus", "--device says neither cpu nor gpu: what runs would depend on the node"
        elif (device == "gpu") != (limit > 0):
            yield owner, "gpus", f"--device={device}, and it holds {limit}"
        slots = flag(container, "slots")
        if device == "gpu" and slots is not None and int(slots) != limit:
            yield owner, "gpus", f"--slots={slots}, and it holds {limit}"
        if device == "cpu" and slots is None:
            yield owner, "gpus", "--slots does not say how many ranks run at once"
        if flag(container, "interface") is None:
            yield owner, "interface", "--interface does not say where ranks talk to each other"


def shared_memory(objects):
    for owner, template, container in containers(objects):
        if not is_worker(container):
            continue
        mount = next((m["name"] for m in container["volumeMounts"] if m["mountPath"] == "/dev/shm"), None)
        volume = next((v for v in template["spec"]["volumes"] if v["name"] == mount), {}).get("emptyDir", {})
        size = quantity(volume.get("sizeLimit", 0))
        if volume.get("medium") != "Memory" or size < SHM_PER_GPU * max(1, gpus_of(container, "limits")):
            yield owner, "/dev/shm", f"is not a memory volume of at least 1 GiB, or 1 GiB per GPU ({size / 2**30:g} GiB)"


def placement(objects):
    """Nodes with GPUs often have a taint named after the device plugin's resource."""
    for owner, template, container in containers(objects):
        if gpus_of(container, "limits") and not any(
                t.get("key", GPU) == GPU and t.get("operator") == "Exists" for t in template["spec"].get("tolerations", [])):
            yield owner, "toleration", "does not tolerate the taint nvidia.com/gpu"
