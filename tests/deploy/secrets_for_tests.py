"""The Secrets that the manifests name, made as docs/operate/kubernetes.md makes them."""
import os
import subprocess
import sys

import manifests
sys.path.insert(0, str(manifests.ROOT / "tests/e2e"))
from cluster import BIN  # noqa: E402


def muster(*words):
    done = subprocess.run([BIN / "muster", *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "NO_COLOR": "1"}, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"muster {' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def make_secrets(folder, namespace):
    """Name → {file: content}. In the folder: authority/ca.pem, and `token`, an operator's."""
    authority = folder / "authority"
    muster("certs", "init", authority)
    secrets = {}
    for part, role in (("coordinator", "coordinator"), ("data", "data"), ("worker", "worker"), ("backup", "operator")):
        service = f"muster-{part}"
        name = f"{service}-*" if part == "worker" else part
        hosts = [] if part in ("worker", "backup") else [service, f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local"]
        out = folder / part
        muster("certs", "issue", authority, "--role", role, "--name", name, "--out", out, *(w for h in hosts for w in ("--host", h)))
        secrets[f"{service}-tls"] = {new: (out / old).read_bytes() for old, new in
                                     (("ca.pem", "ca.crt"), ("cert.pem", "tls.crt"), ("key.pem", "tls.key"))}
    tokens = folder / "tokens.yaml"
    muster("tokens", "issue", "--file", tokens, "--user", "ana", "--role", "operator", "--out", folder / "token")
    secrets["muster-tokens"] = {"tokens.yaml": tokens.read_bytes()}
    return secrets
