"""Starts one container as the kubelet and a container runtime would, without either: its own mounts and host name,
the manifest's absolute paths, a read-only root, its user and no privileges.

usage: pod_start.py PLAN.json   (as root, in its own mount and UTS namespace; becomes the container's command)

PLAN: {"hostname", "command": [...], "environment": {...}, "user", "hosts": "text of /etc/hosts", "programs": {NAME: FILE},
       "libraries": [FOLDER...],
       "mounts": [{"path", "source" (a folder) or "tmpfs" (bytes), "read_only"}]}
"""
import ctypes
import json
import os
import pathlib
import socket
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 38, 24


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


def bind(source, target, read_only=True):
    mount("--bind", source, target)
    if read_only:
        mount("-o", "remount,bind,ro", target)


def make_root(plan, root):
    """A root with the host's system libraries, the image's programs, and the pod's volumes where the manifest wants them."""
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root)
    for name in ("usr", "proc", "sys", "dev", "etc", "tmp", "var/lib", "run"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    bind("/usr", root / "usr")
    # /usr/local/bin is the image's own.
    programs = root / "run/programs"
    programs.mkdir()
    for name, file in plan["programs"].items():
        (programs / name).touch()
        bind(file, programs / name)
    mount("--rbind", programs, root / "usr/local/bin")
    for folder in plan["libraries"]:
        (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        bind(folder, root / folder.lstrip("/"))
    mount("--rbind", "/proc", root / "proc")
    mount("--rbind", "/sys", root / "sys")
    for name in ("null", "zero", "full", "random", "urandom"):
        (root / "dev" / name).touch()
        mount("--bind", f"/dev/{name}", root / "dev" / name)
    for name in ("ld.so.cache", "nsswitch.conf", "protocols", "services"):
        if os.path.exists(f"/etc/{name}"):
            (root / "etc" / name).write_bytes(pathlib.Path(f"/etc/{name}").read_bytes())
    (root / "etc/hosts").write_text(plan["hosts"])
    (root / "etc/resolv.conf").write_text("")
    for entry in plan["mounts"]:
        target = root / entry["path"].lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        if "tmpfs" in entry:
            mount("-t", "tmpfs", "-o", f"size={entry['tmpfs']},mode=2777,gid={plan['user']}", "tmpfs", target)
        else:
            bind(entry["source"], target, entry["read_only"])
    mount("-o", "remount,ro", root)


def drop_privileges(user):
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([user])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit("pod_start.py: no_new_privs is not to be had")


def main():
    plan_file = pathlib.Path(sys.argv[1])
    plan = json.loads(plan_file.read_text())
    root = plan_file.parent / "root"
    root.mkdir()
    make_root(plan, root)
    socket.sethostname(plan["hostname"])
    os.chroot(root)
    os.chdir("/")
    drop_privileges(plan["user"])
    os.umask(0o022)
    os.execve(plan["command"][0], plan["command"], plan["environment"])


main()
