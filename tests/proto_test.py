"""proto/ keeps buf's lint rules, and muster.v1 only changes compatibly with what is frozen (proto/frozen/muster.v1.binpb).

    tests/proto_test.py            the checks
    tests/proto_test.py --extend   freezes compatible additions too; refuses any other change

Needs buf (deploy/bootstrap --tests), which works offline."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROTO = ROOT / "proto"
FROZEN = PROTO / "frozen/muster.v1.binpb"
PUBLIC = "muster/v1"
OWN_BUF = ROOT / ".deps/buf/bin/buf"
BUF = str(OWN_BUF) if OWN_BUF.exists() else shutil.which("buf")


def buf(*words, folder):
    """(exit status, output)"""
    if BUF is None:
        raise FileNotFoundError("buf is missing. Run deploy/bootstrap --tests.")
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run([BUF, *map(str, words)], cwd=folder, env={**os.environ, "BUF_CACHE_DIR": cache}, capture_output=True,
                              text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def lint(folder):
    return buf("lint", folder=folder)


def breaking(folder, against=FROZEN):
    return buf("breaking", "--against", against, "--path", PUBLIC, folder=folder)


def freeze(folder, file):
    status, text = buf("build", "--path", PUBLIC, "--exclude-source-info", "-o", f"{file}#format=binpb", folder=folder)
    assert status == 0, text


def frozen_now(folder=PROTO):
    with tempfile.TemporaryDirectory() as temporary:
        file = pathlib.Path(temporary) / "now.binpb"
        freeze(folder, file)
        return file.read_bytes()


def rpcs():
    """(file, service, RPC, name of the request, name of the response) of the public package"""
    for path in sorted((PROTO / PUBLIC).glob("*.proto")):
        for service, body in re.findall(r"^service (\w+) \{(.*?)^\}", path.read_text(), re.MULTILINE | re.DOTALL):
            for rpc, request, response in re.findall(r"rpc (\w+)\((?:stream )?(\w+)\) returns \((?:stream )?(\w+)\)", body):
                yield path, service, rpc, request, response


class Proto(unittest.TestCase):
    maxDiff = 2000

    def test_lint_passes(self):
        self.assertEqual((0, ""), lint(PROTO))

    def test_the_public_package_is_compatible_with_what_is_frozen(self):
        status, text = breaking(PROTO)
        self.assertEqual(0, status, f"muster.v1 is frozen, and this breaks its clients:\n{text}")

    def test_every_addition_is_frozen(self):
        self.assertTrue(frozen_now() == FROZEN.read_bytes(), "muster.v1 has additions. Freeze them: tests/proto_test.py --extend")

    def test_the_public_package_imports_nothing_of_the_processes_own(self):
        for path in (PROTO / PUBLIC).glob("*.proto"):
            for imported in re.findall(r'^import "(.*)";', path.read_text(), re.MULTILINE):
                self.assertRegex(imported, r"^(muster/v1|google/protobuf)/", path.name)

    def test_rpcs_name_their_resource_and_lists_have_pages(self):
        found = list(rpcs())
        self.assertGreater(len(found), 25)
        for path, service, rpc, request, response in found:
            self.assertRegex(rpc, r"^[A-Z][a-z]+[A-Z]", f"{service}.{rpc}: a verb needs its resource")
            if rpc.startswith("List"):
                text = path.read_text()
                for message, fields in ((request, ("page_size", "page_token")), (response, ("next_page_token",))):
                    body = re.search(rf"^message {message} \{{(.*?)^\}}", text, re.MULTILINE | re.DOTALL).group(1)
                    for field in fields:
                        self.assertRegex(body, rf"\b{field} = ", message)


# (description, file, text, its replacement, rule of buf)
INCOMPATIBLE = [
    ("a field with another number", "job.proto", "string owner = 6;", "string owner = 60;", "FIELD_SAME_NAME|FIELD_NO_DELETE"),
    ("a removed field", "job.proto", "  string trace_manifest = 15;", "  //", "FIELD_NO_DELETE"),
    ("a field of another type", "job.proto", "uint64 revision = 14;", "string revision = 14;", "FIELD_SAME_TYPE"),
    ("a renamed field", "job.proto", "string owner = 6;", "string user = 6;", "FIELD_SAME_NAME|FIELD_SAME_JSON_NAME"),
    ("a removed enumeration value", "job.proto", "  JOB_PHASE_PAUSED = 9;", "", "ENUM_VALUE_NO_DELETE"),
    ("a removed RPC", "job.proto", "  rpc PauseJob(PauseJobRequest) returns (PauseJobResponse);", "", "RPC_NO_DELETE"),
    ("an RPC with another request", "model.proto", "rpc PullModel(PullModelRequest)", "rpc PullModel(DeleteModelRequest)", "RPC_SAME_REQUEST_TYPE"),
]
WRONG_STYLE = [
    ("a zero value that means something", "job.proto", "DEVICE_UNSPECIFIED = 0;", "DEVICE_ANY = 0;", "_UNSPECIFIED"),
    ("a generic name of a request", "job.proto", "rpc GetJob(GetJobRequest)", "rpc Get(GetJobRequest)", "should be named"),
    ("a value without its enumeration's name", "cluster.proto", "WORKER_STATE_READY = 1;", "READY = 1;", "WORKER_STATE_"),
]


class TheChecksThemselves(unittest.TestCase):
    def changed(self, file, text, replacement):
        """A copy of proto/ with one change."""
        copy = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "proto"
        shutil.copytree(PROTO, copy)
        path = copy / PUBLIC / file
        before = path.read_text()
        self.assertIn(text, before)
        path.write_text(before.replace(text, replacement, 1))
        return copy

    if not hasattr(unittest.TestCase, "enterContext"):  # Python before 3.11
        def enterContext(self, context):
            value = context.__enter__()
            self.addCleanup(context.__exit__, None, None, None)
            return value

    def test_an_incompatible_change_fails(self):
        for what, file, text, replacement, rule in INCOMPATIBLE:
            with self.subTest(what):
                status, said = buf("breaking", "--against", FROZEN, "--path", PUBLIC, "--error-format", "json",
                                   folder=self.changed(file, text, replacement))
                self.assertEqual(100, status, said)
                self.assertRegex(said, rule)

    def test_wrong_style_fails(self):
        for what, file, text, replacement, says in WRONG_STYLE:
            with self.subTest(what):
                status, said = lint(self.changed(file, text, replacement))
                self.assertEqual(100, status, said)
                self.assertIn(says, said)

    def test_an_addition_is_compatible_and_is_seen(self):
        copy = self.changed("job.proto", "  string trace_manifest = 15;", "  string note = 99;\n  string trace_manifest = 15;")
        self.assertEqual((0, ""), breaking(copy))
        self.assertNotEqual(FROZEN.read_bytes(), frozen_now(copy))


if __name__ == "__main__":
    if sys.argv[1:] == ["--extend"]:
        result, message = breaking(PROTO) if FROZEN.exists() else (0, "")
        if result != 0:
            sys.exit(f"not frozen, since clients would break:\n{message}")
        FROZEN.parent.mkdir(exist_ok=True)
        freeze(PROTO, FROZEN)
        print(FROZEN, FROZEN.stat().st_size, "bytes")
    else:
        unittest.main(verbosity=2)
