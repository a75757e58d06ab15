"""checkov finds nothing in the shipped manifests except what accepted_findings.yaml explains. Needs
`deploy/bootstrap --long`."""
import fnmatch
import json
import pathlib
import subprocess
import tempfile
import unittest

import manifests
from manifests import yaml

CHECKOV = manifests.ROOT / ".deps/policy/bin/checkov"
ACCEPTED = yaml.safe_load((pathlib.Path(__file__).parent / "accepted_findings.yaml").read_text())


def failed_checks(objects):
    """(check, object, demand) of every finding, and how many checks passed."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "manifests.yaml"
        file.write_text(yaml.safe_dump_all(objects))
        done = subprocess.run([CHECKOV, "--framework", "kubernetes", "--skip-download", "--file", file, "--output", "json",
                               "--soft-fail"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise AssertionError(f"checkov: exit {done.returncode}\n{done.stdout}{done.stderr}")
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0, report["summary"]
    return [(f["check_id"], f["resource"], f["check_name"]) for f in report["results"]["failed_checks"]], report["summary"]["passed"]


def acceptance(check, thing):
    parts = thing.split(".")
    return next((entry["check"] for entry in ACCEPTED if entry["check"] == check and
                 any(fnmatch.fnmatch(f"{parts[0]}.{parts[-1]}", pattern) for pattern in entry["objects"])), None)


class Checkov(unittest.TestCase):
    def test_each_finding_is_explained_and_each_explanation_is_needed(self):
        self.assertTrue(all(entry["reason"].strip() for entry in ACCEPTED))
        used = set()
        for name, objects in manifests.rendered():
            failed, passed = failed_checks(objects)
            print(f"{name}: {passed} checks passed, {len(failed)} explained findings")
            self.assertGreater(passed, 200)
            unexplained = [finding for finding in failed if not acceptance(*finding[:2])]
            self.assertEqual([], unexplained, name)
            used |= {acceptance(*finding[:2]) for finding in failed}
        self.assertEqual({entry["check"] for entry in ACCEPTED}, used)

    def test_a_fault_is_found(self):
        objects = manifests.overlay("single-node")
        pod = next(o for o in objects if o["kind"] == "StatefulSet")["spec"]["template"]["spec"]
        pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = False
        failed, _ = failed_checks(objects)
        self.assertIn("CKV_K8S_22", [check for check, _, _ in failed if not acceptance(check, "StatefulSet.muster-coordinator")])


if __name__ == "__main__":
    unittest.main()
