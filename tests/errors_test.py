"""docs/reference/errors.md lists every reason in the code and no other, and only existing codes and RPCs."""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/soak"))
import documented  # noqa: E402

CODES = {"CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
         "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
         "UNAUTHENTICATED"}
REASON = re.compile(r'"([A-Z]+(?:_[A-Z]+)+)"')


def reasons_of(text):
    """String literals that look like a reason, in a file that attaches reasons."""
    return set(REASON.findall(text)) if "WithReason(" in text else set()


def reasons_in_code():
    found = {}
    for folder in ("common", "coordinator"):
        for path in sorted((ROOT / folder).rglob("*.cc")):
            if not path.name.endswith("_test.cc"):
                for reason in reasons_of(path.read_text()):
                    found.setdefault(reason, path.relative_to(ROOT))
    return found


def rpcs_in_protos():
    names = set()
    for path in (ROOT / "proto/muster").rglob("*.proto"):
        for service, body in re.findall(r"^service (\w+) \{(.*?)^\}", path.read_text(), re.MULTILINE | re.DOTALL):
            names |= {f"{service}.{rpc}" for rpc in re.findall(r"rpc (\w+)\(", body)}
    return names


class Errors(unittest.TestCase):
    def test_every_reason_is_listed_and_no_other(self):
        listed = {reason for _, reason, _ in documented.rows() if reason}
        found = reasons_in_code()
        self.assertGreater(len(found), 3)
        for reason, path in found.items():
            self.assertIn(reason, listed, f"{path} gives the reason {reason}, which docs/reference/errors.md does not list")
        self.assertEqual(listed - set(found), set(), "docs/reference/errors.md lists reasons that no code gives")

    def test_codes_and_rpcs_exist(self):
        known = rpcs_in_protos() | {"every"}
        self.assertGreater(len(known), 20)
        for code, reason, rpcs in documented.rows():
            self.assertIn(code, CODES)
            self.assertTrue(rpcs, f"{code} {reason} names no RPC")
            self.assertEqual(rpcs - known, set(), f"{code} {reason} names RPCs that no proto has")

    def test_a_reason_that_is_not_listed_is_seen(self):
        self.assertEqual(reasons_of('return WithReason(x,\n "NOT_LISTED");'), {"NOT_LISTED"})
        self.assertFalse(documented.is_documented("JobService.SubmitJob", "NOT_FOUND", "NOT_LISTED"))
        self.assertTrue(documented.is_documented("JobService.SubmitJob", "NOT_FOUND", "DATASET_NOT_FOUND"))
        self.assertFalse(documented.is_documented("JobService.ListJobs", "NOT_FOUND", "DATASET_NOT_FOUND"))


if __name__ == "__main__":
    unittest.main()
