"""A process whose folder is a small volume of its own: a tmpfs in a private mount namespace. Root may make one;
other users can in a user namespace, if the kernel allows it."""
import functools
import os
import pathlib
import subprocess
import tempfile


def prefix(folder, size):
    """Words to put before a command: it then runs with `folder` as a volume of `size` bytes, in the same process."""
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "--propagation", "private", "sh", "-c",
            f'mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@"', str(folder)]


@functools.cache
def possible():
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([*prefix(folder, 1 << 20), "true"], capture_output=True, timeout=30).returncode == 0
