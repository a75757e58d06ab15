"""Gives a process a small volume as its folder: a tmpfs in a private mount namespace. Needs root, or a kernel that allows user
namespaces."""
import functools
import os
import pathlib
import subprocess
import tempfile


def prefix(folder, size):
    """A prefix for a command that makes `folder` a volume of `size` bytes and runs the command in the same process."""
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "--propagation", "private", "sh", "-c",
            f'mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@"', str(folder)]


@functools.cache
def possible():
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([*prefix(folder, 1 << 20), "true"], capture_output=True, timeout=30).returncode == 0
