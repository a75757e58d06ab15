"""Writes the Python modules of the public API, one per file of proto/muster/v1, and their types (.pyi).

usage: generate.py PROTO OUT     PROTO: the folder proto/ of a checkout; OUT gets muster/v1 and muster/wire

Runs the protoc of the package grpcio-tools, or, where that is not installed, the protoc of the PATH.

A module is what protoc --python_out writes, without the check that the installed protobuf is as new as protoc. It only
adds the file's descriptor to protobuf's pool and makes classes from it, which works the same in every protobuf since
4.21. Services need no generated code (src/muster/_rpc.py).
"""
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

MODULE = '''# Generated from proto/{source} when the package was built. Do not edit.
from google.protobuf import descriptor_pool
from google.protobuf.internal import builder
{imports}
DESCRIPTOR = descriptor_pool.Default().AddSerializedFile({content!r})
builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
'''


def sources(proto):
    return [*sorted((proto / "muster/v1").glob("*.proto")), proto / "google/rpc/status.proto"]


def protoc():
    if importlib.util.find_spec("grpc_tools"):
        import grpc_tools
        return [sys.executable, "-m", "grpc_tools.protoc", f"-I{pathlib.Path(grpc_tools.__file__).parent / '_proto'}"]
    return ["protoc"]


def module_of(name):
    """muster/v1/job.proto → muster.v1.job_pb2"""
    return name[:-len(".proto")].replace("/", ".") + "_pb2"


def write_messages(proto, out):
    """Raises CalledProcessError with protoc's own message on standard error."""
    from google.protobuf import descriptor_pb2
    proto, out = pathlib.Path(proto).resolve(), pathlib.Path(out)
    with tempfile.TemporaryDirectory(prefix="muster-protos-") as scratch:
        copies = []
        for path in sources(proto):
            text = path.read_text(encoding="utf-8")
            name = path.relative_to(proto)
            if name.parts[0] == "google":
                # googleapis-common-protos, which many packages need, registers google/rpc/status.proto too, and
                # protobuf refuses a second file or message with the same name. The bytes do not depend on the name.
                text, name = text.replace("package google.rpc;", "package muster.wire;"), pathlib.Path("muster/wire/status.proto")
            copies.append(name.as_posix())
            copy = pathlib.Path(scratch) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text, encoding="utf-8")
        out.mkdir(parents=True, exist_ok=True)
        subprocess.run([*protoc(), f"-I{scratch}", f"--descriptor_set_out={scratch}/all.bin", f"--pyi_out={out.resolve()}", *copies],
                       check=True, cwd=scratch)
        files = descriptor_pb2.FileDescriptorSet.FromString((pathlib.Path(scratch) / "all.bin").read_bytes())
    for file in files.file:
        imports = "".join(f"import {module_of(name)}  # noqa: F401\n" for name in file.dependency)
        module = out / (file.name[:-len(".proto")] + "_pb2.py")
        module.write_text(MODULE.format(source=file.name, imports=imports, content=file.SerializeToString()), encoding="utf-8")
        (module.parent / "__init__.py").touch()
    return [file.name for file in files.file]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    write_messages(sys.argv[1], sys.argv[2])
