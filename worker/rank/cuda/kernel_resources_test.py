#!/usr/bin/env python3
"""Compares what ptxas reports for each kernel with kernel_budget.csv: no kernel spills or has a stack frame, none uses more
registers or shared memory than its row allows, every kernel has a row, and no row is without a kernel. Prints the share
of a multiprocessor's warps that each kernel can keep running (occupancy).

usage: kernel_resources_test.py [--write] BUDGET OBJECT...   reads the report of keep_ptxas_report.sh next to each object
  --write   regenerates BUDGET from the reports; block sizes of kernels that it knows are kept
"""
import csv
import pathlib
import re
import subprocess
import sys

ARCHITECTURES = ("80", "90", "100")

# Per multiprocessor. Source: CUDA C++ Programming Guide 13.0, "Technical specifications per compute capability"; the unit
# of registers is a warp's, from the occupancy calculator of Nsight Compute. CUDA takes 1 KiB of shared memory per block.
WARPS, BLOCKS, REGISTERS = 64, 32, 65536
REGISTER_UNIT, WARP_UNIT, SHARED_UNIT, SHARED_OF_CUDA = 256, 4, 128, 1024
SHARED = {"80": 164 << 10, "90": 228 << 10, "100": 228 << 10}


def round_up(value, unit):
    return (value + unit - 1) // unit * unit


def occupancy(architecture, threads, registers, shared):
    """Share of the warps that a multiprocessor can hold."""
    warps = round_up(threads, 32) // 32
    by_registers = REGISTERS // round_up(registers * 32, REGISTER_UNIT) // WARP_UNIT * WARP_UNIT // warps
    by_shared = SHARED[architecture] // round_up(shared + SHARED_OF_CUDA, SHARED_UNIT)
    return min(BLOCKS, WARPS // warps, by_registers, by_shared) * warps / WARPS


def plain_names(mangled):
    """Mangled name → "AddNormKernel<float>"."""
    names = sorted(mangled)
    lines = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    plain = {}
    for name, line in zip(names, lines.splitlines()):
        line = re.sub(r"\(anonymous namespace\)::|muster::cuda::|_GLOBAL__N__\w+::", "", line)
        line = re.sub(r"\((\w+)\)(\d+)", r"\2", line)  # (ActivationKind)0
        line = line.replace("__nv_bfloat16", "bfloat16").removeprefix("void ")
        depth, end = 0, len(line)
        for place, letter in enumerate(line):
            depth += (letter == "<") - (letter == ">")
            if letter == "(" and depth == 0:
                end = place
                break
        plain[name] = line[:end].replace(", ", "/")
    return plain


def read_reports(objects):
    """(kernel, architecture) → (registers, shared bytes, stack bytes, spilled bytes)."""
    raw = {}
    for path in objects:
        entry, stack, spilled = None, 0, 0
        for line in pathlib.Path(f"{path}.ptxas").read_text(encoding="utf-8").splitlines():
            if match := re.search(r"Compiling entry function '(\w+)' for 'sm_(\d+)'", line):
                entry, stack, spilled = match.groups(), 0, 0
            elif match := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
                stack, spilled = int(match[1]), int(match[2]) + int(match[3])
            elif entry and (match := re.search(r"Used (\d+) registers", line)):
                shared = re.search(r"(\d+) bytes smem", line)
                raw[entry] = (int(match[1]), int(shared[1]) if shared else 0, stack, spilled)
    plain = plain_names({name for name, _ in raw})
    return {(plain[name], architecture): figures for (name, architecture), figures in raw.items()}


def read_budget(path):
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["kernel"]: {key: int(value) for key, value in row.items() if key != "kernel"}
                for row in csv.DictReader(file)}


def write_budget(path, figures, old):
    columns = ["threads", "dynamic_shared", "shared"] + [f"registers_{a}" for a in ARCHITECTURES]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["kernel"] + columns, lineterminator="\n")
        writer.writeheader()
        for kernel in sorted({name for name, _ in figures}):
            known = old.get(kernel, {})
            row = {"kernel": kernel, "threads": known.get("threads", 256),
                   "dynamic_shared": known.get("dynamic_shared", 0),
                   "shared": max(figures[kernel, a][1] for a in ARCHITECTURES)}
            # Rounded up to eight: registers of a thread are given out in eights.
            row |= {f"registers_{a}": round_up(figures[kernel, a][0], 8) for a in ARCHITECTURES}
            writer.writerow(row)


def check(figures, budget):
    broken = [f"{kernel}: the budget has a row, the build no kernel" for kernel in budget
              if not any((kernel, a) in figures for a in ARCHITECTURES)]
    for (kernel, architecture), (registers, shared, stack, spilled) in sorted(figures.items()):
        where = f"{kernel} on sm_{architecture}"
        if kernel not in budget:
            broken.append(f"{where}: no row in the budget")
            continue
        row = budget[kernel]
        if spilled or stack:
            broken.append(f"{where}: {stack} bytes of stack, {spilled} bytes spilled")
        if registers > row[f"registers_{architecture}"]:
            broken.append(f"{where}: {registers} registers, the budget is {row[f'registers_{architecture}']}")
        if shared > row["shared"]:
            broken.append(f"{where}: {shared} bytes of shared memory, the budget is {row['shared']}")
    return broken


def print_table(figures, budget):
    print(f"{'kernel':58} threads shared  " + "  ".join(f"sm_{a}: registers, occupancy" for a in ARCHITECTURES))
    for kernel in sorted(budget):
        row, cells = budget[kernel], []
        for a in ARCHITECTURES:
            registers, shared, _, _ = figures.get((kernel, a), (0, 0, 0, 0))
            if registers:
                share = occupancy(a, row["threads"], registers, shared + row["dynamic_shared"])
                cells.append(f"{registers:4} {100 * share:4.0f}%")
        print(f"{kernel:58} {row['threads']:7} {row['shared'] + row['dynamic_shared']:6}  " + "  ".join(cells))


def main():
    arguments = sys.argv[1:]
    write = arguments[:1] == ["--write"]
    budget_path, *objects = arguments[write:]
    figures = read_reports(objects)
    budget = read_budget(pathlib.Path(budget_path))
    if write:
        write_budget(pathlib.Path(budget_path), figures, budget)
        budget = read_budget(pathlib.Path(budget_path))
    print_table(figures, budget)
    broken = check(figures, budget)
    for line in broken:
        print(line)
    print(f"{len(figures)} kernels and architectures, {len(broken)} over budget")
    return 1 if broken or len(figures) < 3 else 0


if __name__ == "__main__":
    sys.exit(main())
