"""The objects that the overlays and the chart render to. Needs what `deploy/bootstrap --tests` installs."""
import functools
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".deps/kubernetes"
if not (TOOLS / "tools/helm").exists():
    sys.exit(f"{TOOLS}/tools: kubectl and helm are missing. Run deploy/bootstrap --tests.")
sys.path.insert(0, str(TOOLS))
import yaml  # noqa: E402  the pinned one

KUBERNETES = ROOT / "deploy/kubernetes"
CHART = ROOT / "deploy/helm/muster"
# Leaves out overlays that a test creates in this folder to use relative paths.
OVERLAYS = sorted(path.parent.name for path in KUBERNETES.glob("overlays/*/kustomization.yaml")
                  if not path.parent.name.startswith("tmp"))
# The values that make the chart render the same as an overlay.
VALUES = {"single-node": [], "gpu-pool": ["gpu-pool.yaml"], "shared-store": ["gpu-pool.yaml", "shared-store.yaml"]}


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def parse(text):
    return [document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]


def kustomize(folder):
    return parse(run(TOOLS / "tools/kubectl", "kustomize", folder))


@functools.lru_cache(None)
def overlay_text(name):
    return run(TOOLS / "tools/kubectl", "kustomize", KUBERNETES / "overlays" / name)


def overlay(name):
    return parse(overlay_text(name))


@functools.lru_cache(None)
def helm_text(release, namespace, words):
    return run(TOOLS / "tools/helm", "template", release, CHART, "--namespace", namespace, *words)


def helm_template(*words, release="muster", namespace="muster"):
    return parse(helm_text(release, namespace, words))


def chart(name):
    return helm_template(*(word for file in VALUES[name] for word in ("--values", ROOT / "deploy/helm/values" / file)))


def restore():
    return kustomize(KUBERNETES / "restore")


def rendered():
    """Name and objects of everything shipped."""
    for name in OVERLAYS:
        yield f"overlay {name}", overlay(name)
    for name in VALUES:
        yield f"chart as {name}", chart(name)


def title(thing):
    return f"{thing['kind']} {thing['metadata']['name']}"
