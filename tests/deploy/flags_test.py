"""Every flag in the manifests of every overlay is known to its program, every program of a manifest is in its image,
and so are the packages that the programs link."""
import functools
import pathlib
import re
import subprocess
import sys
import unittest

import manifests
import policy
from devices import image_parts
sys.path.insert(0, str(manifests.ROOT / "tests/e2e"))
from cluster import BIN  # noqa: E402


@functools.lru_cache(None)
def dependencies():
    """Debian package → the packages that it needs, alternatives included, for everything installed here."""
    found = {}
    for line in manifests.run("dpkg-query", "-W", "-f=${Package}|${Pre-Depends}, ${Depends}\n").splitlines():
        package, needs = line.split("|", 1)
        found[package] = set(re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9.+-]+)", needs))
    return found


def with_dependencies(packages):
    found, todo = set(), set(packages)
    while todo:
        package = todo.pop()
        found.add(package)
        todo |= dependencies().get(package, set()) - found
    return found


def linked_packages(program):
    """Library → package, of the system's shared libraries that a program loads."""
    paths = [str(pathlib.Path(path).resolve()) for path in re.findall(r"=> (/\S+)", manifests.run("ldd", program))]
    # The other libraries belong to LibTorch, which is a separate layer of the image.
    paths = [path for path in paths if path.startswith("/usr/lib/")]
    # dpkg lists some under /lib, which is now a link.
    owners = subprocess.run(["dpkg-query", "-S", *paths, *(path.removeprefix("/usr") for path in paths)],
                            capture_output=True, text=True).stdout
    by_path = {path: owner.split(":")[0] for owner, path in (line.split(": ", 1) for line in owners.splitlines())}
    return {path: by_path.get(path) or by_path[path.removeprefix("/usr")] for path in paths}


class Flags(unittest.TestCase):
    def test_programs_know_their_flags(self):
        seen = 0
        for name, objects in manifests.rendered():
            for owner, _, container in policy.containers(objects):
                program, *subcommands = container["command"][0].rsplit("/", 1)[1], *container["command"][1:]
                known = set(re.findall(r"--[a-z-]+", manifests.run(BIN / program, "--help") +
                                       manifests.run(BIN / program, *subcommands, "--help")))
                for word in (word for word in container["args"] if word.startswith("--")):
                    self.assertIn(word.split("=", 1)[0], known, f"{name}: {policy.title(owner)}")
                    seen += 1
        self.assertGreater(seen, 50)

    def test_images_hold_their_programs(self):
        build = (manifests.ROOT / "deploy/images/build").read_text()
        for _, objects in manifests.rendered():
            for _, _, container in policy.containers(objects):
                folder, program = container["command"][0].rsplit("/", 1)
                image = image_parts(container["image"])[1].removeprefix("muster-")
                recipe = (manifests.ROOT / f"deploy/images/Containerfile.{image.removesuffix('-cuda')}").read_text()
                self.assertIn(f"COPY programs/ {folder}/", recipe)
                self.assertRegex(build, rf"(?m)^    {image}\)\n *recipe=.*\n(.*\n){{0,3}} *put_programs .*\b{program}\b")

    def test_images_hold_what_their_programs_link(self):
        build = (manifests.ROOT / "deploy/images/build").read_text()
        for image, programs in (("coordinator", ("muster", "muster-coordinator", "muster-data")), ("worker", ("muster-worker", "muster-rank"))):
            recipe = (manifests.ROOT / f"deploy/images/Containerfile.{image}").read_text()
            listed = re.search(r"--no-install-recommends ([^>]+)", recipe)[1].replace("\\\n", " ").split()
            held = with_dependencies(listed)
            for program in programs:
                self.assertIn(program, build)
                linked = linked_packages(BIN / program)
                self.assertGreater(len(linked), 5, program)
                missing = {library: package for library, package in linked.items() if package not in held}
                self.assertEqual({}, missing, f"{program}: Containerfile.{image} lacks packages")


if __name__ == "__main__":
    unittest.main()
