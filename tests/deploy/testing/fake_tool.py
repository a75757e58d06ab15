#!/usr/bin/python3
"""Replaces kind, k3d, ctr, k3s, buildah and others, by the name that it is called by, in the test of deploy/images/load
and build. It appends to $FAKE_LOG a JSON line per call: its name, its arguments, the image names in the archive that it
is given, and the files in the folder that it must build from."""
import io
import json
import os
import pathlib
import sys
import tarfile

LOG = pathlib.Path(os.environ["FAKE_LOG"])


def names_in(archive):
    with tarfile.open(archive) as tar:
        return [name for image in json.load(tar.extractfile("manifest.json")) for name in image["RepoTags"]]


def write_archive(path, name):
    data = json.dumps([{"Config": "c.json", "RepoTags": [name], "Layers": []}]).encode()
    entry = tarfile.TarInfo("manifest.json")
    entry.size = len(data)
    with tarfile.open(path, "w") as tar:
        tar.addfile(entry, io.BytesIO(data))


def buildah(args):
    if args[0] == "inspect":
        return 0 if args[-1] in os.environ["FAKE_IMAGES"].split() else 125
    if args[0] == "push" and args[-1].startswith("docker-archive:"):
        write_archive(*args[-1].split(":", 2)[1:])
    if args[0] == "push" and "--digestfile" in args:
        pathlib.Path(args[args.index("--digestfile") + 1]).write_text("sha256:" + "ab" * 32)
    return 0


def main():
    tool, args = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
    archives = [arg for arg in args if arg.endswith(".tar") and os.path.exists(arg)]
    call = {"tool": tool, "args": args, "images": [name for archive in archives for name in names_in(archive)]}
    if "bud" in args:
        context = pathlib.Path(args[-1])
        call["files"] = sorted(f.relative_to(context).as_posix() for f in context.rglob("*") if f.is_file())
    if tool == "id":
        print(0)
    before = [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []
    with LOG.open("a") as log:
        log.write(json.dumps(call) + "\n")
    if tool == "buildah":
        return buildah(args)
    if args[-2:] == ["ls", "--quiet"]:  # what was imported, unless the test makes it disappear
        print("\n".join(name for call in before for name in call["images"] if not os.environ.get("FAKE_LOST")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
