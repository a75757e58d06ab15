#!/usr/bin/env python3
"""Compares the #include lines, and what each library links, with the arrows of ARCHITECTURE.md.

usage: arrows_test.py ROOT
"""
import pathlib
import re
import sys

# folder → folders whose headers it may include. A longer folder name wins over a shorter one.
ALLOWED = {
    "common": {"common"},
    "coordinator/core": {"common", "coordinator/core"},
    "coordinator/state": {"common", "coordinator/core", "coordinator/state"},
    "coordinator/data": {"common", "coordinator/data"},
    "coordinator/service": {"common", "coordinator/core", "coordinator/state", "coordinator/service"},
    "coordinator/runtime": {"common", "coordinator/core", "coordinator/state", "coordinator/service", "coordinator/runtime"},
    "worker/agent": {"common", "worker/agent"},
    "worker/rank": {"common", "worker/rank"},
    "client": {"common", "client"},
}
# folder → patterns of foreign or generated headers that it must not include.
FORBIDDEN = {
    "common": [r"ATen/", r"torch/", r"c10/"],
    "common/model": [r"grpc"],
    "common/spec": [r"grpc"],
    "common/retrieval": [r"grpc", r"google/protobuf", r"\.pb\.h"],
    "common/statistics": [r"grpc", r"google/protobuf", r"\.pb\.h"],
    "coordinator": [r"ATen/", r"torch/", r"c10/"],
    "coordinator/core": [r"grpc", r"sqlite3", r"<thread>", r"<mutex>", r"absl/time/clock\.h", r"<fstream>", r"<filesystem>"],
    "worker/agent": [r"ATen/", r"torch/", r"c10/"],
    "client": [r"ATen/", r"torch/", r"c10/"],
    "worker/rank/device": [r"grpc", r"worker/rank/cuda/", r"c10/cuda/", r"cuda_runtime"],
    "worker/rank/product": [r"grpc", r"worker/rank/cuda/", r"c10/cuda/", r"cuda_runtime"],
    "worker/rank/model": [r"grpc", r"worker/rank/cuda/", r"c10/cuda/", r"cuda_runtime"],
    "worker/rank/loss": [r"grpc", r"worker/rank/cuda/", r"c10/cuda/", r"cuda_runtime"],
    "worker/rank/collective": [r"grpc", r"worker/rank/cuda/"],
    "worker/rank/cuda": [r"grpc"],
    "worker/rank/train": [r"grpc", r"worker/rank/cuda/", r"c10/cuda/", r"cuda_runtime"],
    "worker/rank/evaluate": [r"grpc", r"worker/rank/cuda/", r"c10/cuda/", r"cuda_runtime"],
    "worker/rank/export": [r"grpc", r"worker/rank/cuda/", r"c10/cuda/", r"cuda_runtime"],
    "": [r"torch/torch\.h"],
}
# What client/python/src may import besides Python's own modules: packages that its pyproject.toml requires, and optional ones
# that it uses if they are installed.
PYTHON_IMPORTS = {"muster", "grpc", "google", "yaml", "pandas", "tqdm", "mlflow", "wandb"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def inside(path, folder):
    return folder == "" or path == folder or path.startswith(folder + "/")


def check(root):
    broken, files = [], 0
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.suffix not in (".h", ".cc", ".cu") or name.split("/")[0] not in ("common", "coordinator", "worker", "client"):
            continue
        files += 1
        owner = max((folder for folder in ALLOWED if inside(name, folder)), key=len, default=None)
        if owner is None:
            broken.append(f"{name}: is in no folder that this test knows")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            header = match.group(2)
            ours = header.split("/")[0] in ("common", "coordinator", "worker", "client", "tests", "deploy")
            if ours and not any(inside(header, folder) for folder in ALLOWED[owner]):
                broken.append(f"{name}:{number}: {owner} may not include {header}")
            spelled = f"<{header}>" if match.group(1) == "<" else header
            for folder, patterns in FORBIDDEN.items():
                if inside(name, folder) and any(re.search(pattern, spelled) for pattern in patterns):
                    broken.append(f"{name}:{number}: {folder or 'the project'} may not include {header}")
    return broken, files


def check_python(root):
    broken, files = [], 0
    for path in sorted((root / "client/python/src/muster").glob("*.py")):
        files += 1
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = re.match(r"\s*(?:import|from) (\w+)[\w.]*(?: import |$)", line)
            if match and match.group(1) not in PYTHON_IMPORTS | sys.stdlib_module_names:
                broken.append(f"{path.relative_to(root).as_posix()}:{number}: may not import {match.group(1)}")
    return broken, files


def main():
    root = pathlib.Path(sys.argv[1])
    broken, files = check(root)
    broken_imports, modules = check_python(root)
    broken, files = broken + broken_imports, files + modules
    for line in broken:
        print(line)
    print(f"{files} files, {len(broken)} broken arrows")
    return 1 if broken or files < 40 or modules < 10 else 0


if __name__ == "__main__":
    sys.exit(main())
