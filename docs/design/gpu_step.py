#!/usr/bin/env python3
"""The training step on a GPU, on paper: bytes, FLOPs and launches of each operation, and the time of the roofline.

usage: gpu_step.py [--write | --check]
  no option   prints the tables
  --write     puts them into gpu-step.md, between its markers
  --check     fails if gpu-step.md holds other tables
"""
import csv
import dataclasses
import importlib.util
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
KERNELS = HERE.parent.parent / "worker" / "rank" / "cuda"
BEGIN, END = "<!-- begin: printed by gpu_step.py -->", "<!-- end: printed by gpu_step.py -->"

# NVIDIA H100 SXM5, data sheet: dense bfloat16 products, float32 outside the tensor cores, HBM3.
PEAK, PEAK_FLOAT32, BANDWIDTH = 989e12, 67e12, 3.35e12
# What is assumed to be reached of these; see "Assumptions" in gpu-step.md.
OF_PRODUCTS, OF_ATTENTION, OF_ATTENTION_BACKWARD, OF_BANDWIDTH, OF_FLOAT32 = 0.70, 0.55, 0.45, 0.80, 0.75

# BERT-base, and a batch: 16,384 tokens in sequences of 256.
LAYERS, H, INNER, HEADS, VOCABULARY, POSITIONS = 12, 768, 3072, 12, 30522, 512
TOKENS, LENGTH = 16384, 256
SEQUENCES = TOKENS // LENGTH
B, F = 2, 4  # bytes of bfloat16 and float32
PARAMETERS = LAYERS * (4 * H * H + 2 * H * INNER + 9 * H + INNER) + (VOCABULARY + POSITIONS + 2 + 2) * H
QUERIES, PASSAGES = 32, 32  # sequences of the batch, for the loss
PARTIAL = 1024              # kMostPartialRows of column_sums.h


@dataclasses.dataclass
class Operation:
    name: str
    flops: float
    bytes: float
    launches: int
    peak: float = PEAK
    reached: float = OF_PRODUCTS

    def roofline(self):
        return max(self.flops / self.peak, self.bytes / BANDWIDTH)

    def expected(self):
        return max(self.flops / (self.peak * self.reached), self.bytes / (BANDWIDTH * OF_BANDWIDTH))


def product(name, rows, inner, columns, out=B, added=False):
    """[rows, inner] x [inner, columns]. `added`: to the output's former values."""
    moved = B * (rows * inner + inner * columns) + out * rows * columns * (2 if added else 1)
    return Operation(name, 2 * rows * inner * columns, moved, 1)


def weight_gradient(name, inner, columns):
    return product(name, inner, TOKENS, columns, out=F, added=True)


def rows(name, read, written, launches=1, sums=0):
    """Row operations: rows of [TOKENS, H] read and written; `sums`: column sums of H, in two stages."""
    moved = B * TOKENS * H * (read + written) + 2 * F * PARTIAL * H * sums
    return Operation(name, 30 * TOKENS * H * max(read, written), moved, launches + (1 if sums else 0), PEAK_FLOAT32,
                     OF_FLOAT32)


def layer_forward():
    inner = INNER / H
    return [
        product("QKV product", TOKENS, H, 3 * H),
        Operation("attention with dropout", 4 * TOKENS * LENGTH * H, B * TOKENS * 4 * H + F * TOKENS * HEADS, 1, PEAK,
                  OF_ATTENTION),
        product("attention output product", TOKENS, H, H),
        rows("AddNorm: bias, dropout, residual, LayerNorm", 2, 2),
        product("intermediate product", TOKENS, H, INNER),
        rows("Activate: bias, GELU", inner, inner),
        product("output product", TOKENS, INNER, H),
        rows("AddNorm: bias, dropout, residual, LayerNorm", 2, 2),
    ]


def layer_backward():
    inner = INNER / H
    return [
        rows("AddNormBackward, normed rows again", 2, 3, sums=3),
        product("output: data gradient", TOKENS, H, INNER),
        rows("ActivateBackward, activations again", 2 * inner, 2 * inner, sums=inner),
        weight_gradient("output: weight gradient", INNER, H),
        product("intermediate: data gradient", TOKENS, INNER, H),
        weight_gradient("intermediate: weight gradient", H, INNER),
        rows("AddNormBackward, normed rows again", 3, 3, sums=3),
        product("attention output: data gradient", TOKENS, H, H),
        weight_gradient("attention output: weight gradient", H, H),
        Operation("attention backward", 10 * TOKENS * LENGTH * H, B * TOKENS * 8 * H + F * TOKENS * HEADS, 2, PEAK,
                  OF_ATTENTION_BACKWARD),
        rows("AddColumnSums of QKV", 3, 0, sums=3),
        product("QKV: data gradient", TOKENS, 3 * H, H, added=True),
        weight_gradient("QKV: weight gradient", H, 3 * H),
    ]


def once():
    tables = F * TOKENS * H
    adam = 7 * F + B  # reads gradient, weight and two moments, writes three of them and the copy in bfloat16
    return [
        Operation("EmbedNorm", 30 * TOKENS * H, 2 * tables + B * TOKENS * H, 1, PEAK_FLOAT32, OF_FLOAT32),
        Operation("Pool", TOKENS * H, B * TOKENS * H, 1, PEAK_FLOAT32, OF_FLOAT32),
        Operation("loss: scores, their gradients", 6 * QUERIES * PASSAGES * H, F * 6 * (QUERIES + PASSAGES) * H, 12,
                  PEAK_FLOAT32, OF_FLOAT32),
        Operation("PoolBackward", TOKENS * H, B * TOKENS * H, 1, PEAK_FLOAT32, OF_FLOAT32),
        Operation("EmbedNormBackward", 40 * TOKENS * H, 3 * tables + B * TOKENS * H, 2, PEAK_FLOAT32, OF_FLOAT32),
        Operation("AddToRows of words and positions", 2 * TOKENS * H, 2 * 3 * tables, 12, PEAK_FLOAT32, OF_FLOAT32),
        Operation("norm of the gradient, AdamW, copies in bfloat16", 15 * PARAMETERS, (adam + F) * PARAMETERS, 20,
                  PEAK_FLOAT32, OF_FLOAT32),
    ]


def table(title, operations):
    lines = [f"**{title}**", "", "| operation | GFLOP | MB | launches | roofline µs | expected µs |",
             "|---|---:|---:|---:|---:|---:|"]
    for each in operations:
        lines.append(f"| {each.name} | {each.flops / 1e9:,.1f} | {each.bytes / 1e6:,.0f} | {each.launches} | "
                     f"{each.roofline() * 1e6:,.0f} | {each.expected() * 1e6:,.0f} |")
    total = [sum(get(each) for each in operations) for get in
             (lambda o: o.flops / 1e9, lambda o: o.bytes / 1e6, lambda o: o.launches, lambda o: o.roofline() * 1e6,
              lambda o: o.expected() * 1e6)]
    lines.append("| **all** | {:,.1f} | {:,.0f} | {} | {:,.0f} | {:,.0f} |".format(*total))
    return lines + [""]


def step():
    forward, backward, rest = layer_forward(), layer_backward(), once()
    lines = table("One layer, forward", forward) + table("One layer, backward", backward) + table("Once per step", rest)
    layers = [(each, LAYERS) for each in forward + backward] + [(each, 1) for each in rest]
    roofline = sum(each.roofline() * times for each, times in layers)
    expected = sum(each.expected() * times for each, times in layers)
    launches = sum(each.launches * times for each, times in layers)
    weights = LAYERS * (4 * H * H + 2 * H * INNER)
    useful = 6 * weights * TOKENS + 12 * LAYERS * TOKENS * LENGTH * H
    row_operations = sum(each.expected() * times for each, times in layers if each.peak != PEAK)
    lines += ["**The whole step**", "", "| figure | value |", "|---|---:|",
              f"| useful FLOPs: 6 x weights x tokens + attention | {useful / 1e12:.2f} TFLOP |",
              f"| roofline | {roofline * 1e3:.1f} ms, {100 * useful / PEAK / roofline:.0f}% of peak |",
              f"| expected | {expected * 1e3:.1f} ms, {100 * useful / PEAK / expected:.0f}% of peak |",
              f"| of it outside products and attention | {row_operations * 1e3:.1f} ms |",
              f"| tokens per second, expected | {TOKENS / expected:,.0f} |",
              f"| launches | {launches}, one per {expected / launches * 1e6:.0f} µs |", ""]
    return lines


def occupancies():
    spec = importlib.util.spec_from_file_location("kernel_resources", KERNELS / "kernel_resources_test.py")
    resources = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(resources)
    lines = ["**Occupancy at the budget of registers and shared memory**", "",
             "| kernel | threads | shared bytes | " + " | ".join(f"sm_{a}" for a in resources.ARCHITECTURES) + " |",
             "|---|---:|---:|" + "---:|" * len(resources.ARCHITECTURES)]
    with (KERNELS / "kernel_budget.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if "double" in row["kernel"]:
                continue  # float64 is for tests
            shared = int(row["shared"]) + int(row["dynamic_shared"])
            cells = [f"{row[f'registers_{a}']} registers, "
                     f"{100 * resources.occupancy(a, int(row['threads']), int(row[f'registers_{a}']), shared):.0f}%"
                     for a in resources.ARCHITECTURES]
            lines.append(f"| `{row['kernel']}` | {row['threads']} | {shared} | " + " | ".join(cells) + " |")
    return lines + [""]


def main():
    option = sys.argv[1] if len(sys.argv) > 1 else ""
    text = "\n".join(step() + occupancies())
    if not option:
        print(text)
        return 0
    page = HERE / "gpu-step.md"
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    old, after = rest.split(END)
    if option == "--write":
        page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")
        return 0
    if old.strip() != text.strip():
        print(f"{page}: other tables than gpu_step.py prints. Run docs/design/gpu_step.py --write")
        return 1
    print("gpu-step.md holds what gpu_step.py prints")
    return 0


if __name__ == "__main__":
    sys.exit(main())
