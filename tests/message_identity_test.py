"""Serialized messages that are compared or hashed are DeterministicBytes: SerializeAsString writes a map in any order."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = ("client", "common", "coordinator", "tests", "worker")
# Its own comment says that it may treat equal messages as different, and why that is harmless.
EXCEPT = {"coordinator/core/message_change.cc"}
IDENTITY = re.compile(r"[=!]= |_(EQ|NE)\(|Sha256Hex\(")


def statements(text):
    """Pairs of line and statement."""
    line = 1
    for part in re.split(r"([;{}])", text):
        yield line + len(part) - len(part.lstrip("\n")), " ".join(part.split())
        line += part.count("\n")


def places(text):
    return [line for line, statement in statements(text)
            if "SerializeAsString()" in statement and IDENTITY.search(statement)]


class MessageIdentity(unittest.TestCase):
    def test_no_bytes_without_an_order_are_compared_or_hashed(self):
        looked_at = 0
        for folder in FOLDERS:
            for path in sorted((ROOT / folder).rglob("*")):
                name = path.relative_to(ROOT).as_posix()
                if path.suffix not in (".cc", ".h") or name in EXCEPT:
                    continue
                looked_at += 1
                for line in places(path.read_text()):
                    self.fail(f"{name}:{line}: write DeterministicBytes(message): the order of a map is not determined")
        self.assertGreater(looked_at, 100)

    def test_comparisons_and_hashes_are_seen(self):
        self.assertEqual(places("int a;\nEXPECT_EQ(a.SerializeAsString(),\n  b);"), [2])
        self.assertEqual(places("return a->SerializeAsString() == b;"), [1])
        self.assertEqual(places("const std::string key = Sha256Hex(StrCat(a.SerializeAsString()));"), [1])
        self.assertEqual(places("set_bytes(a.SerializeAsString());\nif (a == b) return;"), [])


if __name__ == "__main__":
    unittest.main()
