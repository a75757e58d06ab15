"""Every flag in the manifests of every overlay is one that its program knows, and every program of a manifest is in its image."""
import re
import sys
import unittest

import manifests
import policy
sys.path.insert(0, str(manifests.ROOT / "tests/e2e"))
from cluster import BIN  # noqa: E402


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
                image = container["image"].split(":")[0].rsplit("-", 1)[1]
                recipe = (manifests.ROOT / f"deploy/images/Containerfile.{image}").read_text()
                self.assertIn(f"COPY programs/ {folder}/", recipe)
                self.assertRegex(build, rf"(?m)^ *(put_programs .*|programs=\(.*)\b{program}\b")


if __name__ == "__main__":
    unittest.main()
