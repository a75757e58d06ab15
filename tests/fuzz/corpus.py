"""Packed corpora: one input per line, as the inside of a C string; lines that begin with # are comments."""
import hashlib
import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parent
PLAIN = {0x5C: b"\\\\", 0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x22: b'\\"', 0x27: b"\\'"}
ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\", b'"': b'"', b"'": b"'"}


def targets():
    """The targets that tests/fuzz/CMakeLists.txt names."""
    return re.findall(r"^muster_fuzz_target\((\w+)", (FOLDER / "CMakeLists.txt").read_text(), re.MULTILINE)


def line_of(data):
    # A # at the beginning would make the line a comment.
    return b"".join(PLAIN.get(byte, bytes([byte]) if 0x20 <= byte < 0x7F and not (byte == 0x23 and at == 0)
                              else b"\\%03o" % byte) for at, byte in enumerate(data)).decode()


def data_of(line):
    def unescaped(match):
        word = match.group(1)
        return bytes([int(word, 8)]) if len(word) == 3 else NAMED[word]
    return ESCAPE.sub(unescaped, line.encode())


def inputs(file):
    return [data_of(line) for line in file.read_text().splitlines() if not line.startswith("#")]


def unpack(file, folder):
    for data in inputs(file):
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
