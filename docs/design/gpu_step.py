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
# Per cycle and multiprocessor: 128 float32 and 64 integer instructions, and one load of shared memory by a warp (CUDA C++
# Programming Guide, "Arithmetic Instructions"). The data sheet counts a float32 multiply-add as two.
PEAK_INTEGER, PEAK_SHARED = PEAK_FLOAT32 / 2 / 128 * 64, PEAK_FLOAT32 / 2 / 128
# What is assumed to be reached of these; see "Assumptions" in gpu-step.md.
OF_PRODUCTS, OF_FLASH, OF_FLASH_BACKWARD, OF_BANDWIDTH, OF_FLOAT32, OF_MMA = 0.70, 0.35, 0.30, 0.80, 0.75, 0.60

# BERT-base, and a batch: 16,384 tokens in sequences of 256.
LAYERS, H, INNER, HEADS, VOCABULARY, POSITIONS = 12, 768, 3072, 12, 30522, 512
TOKENS, LENGTH = 16384, 256
SEQUENCES = TOKENS // LENGTH
B, F = 2, 4  # bytes of bfloat16 and float32
PARAMETERS = LAYERS * (4 * H * H + 2 * H * INNER + 9 * H + INNER) + (VOCABULARY + POSITIONS + 2 + 2) * H
QUERIES, PASSAGES = 32, 32  # sequences of the batch, for the loss
PARTIAL = 1024              # kMostPartialRows of column_sums.h

# The attention kernel of attention_kernels.cu, counted in its source. Integer instructions per score: dropout's decision (a
# Philox block of eight has 10 rounds of 8, and 44 for counter, comparisons and the store; nine blocks are drawn for 64 keys),
# which keys are seen, and the decision's bit, which the gradient of keys reads per pair of scores.
ROUNDS, PER_ROUND, PER_BLOCK = 10, 8, 44
DRAWN = (ROUNDS * PER_ROUND + PER_BLOCK) / 8 * 9 / 8
SEEN, KEPT, KEPT_OF_KEYS = 12, 5, 10
# Loads of shared memory per mma.m16n8k16 (4,096 FLOP): of tiles whose rows are summed across, and down.
ACROSS, DOWN, MMA = 2.5, 4, 16 * 8 * 16 * 2
SCORES = TOKENS * LENGTH * HEADS
KEYS = ("sequence", "launch")


@dataclasses.dataclass
class Operation:
    name: str
    flops: float
    bytes: float
    launches: int
    peak: float = PEAK
    reached: float = OF_PRODUCTS
    integer: float = 0  # instructions
    shared: float = 0   # a warp's loads of shared memory

    def roofline(self):
        return max(self.flops / self.peak, self.bytes / BANDWIDTH, self.integer / PEAK_INTEGER, self.shared / PEAK_SHARED)

    def expected(self):
        # In a kernel that lists its instructions, tensor cores, loads and arithmetic wait for each other.
        computed = (self.flops / (self.peak * self.reached) + self.integer / (PEAK_INTEGER * OF_FLOAT32) +
                    self.shared / (PEAK_SHARED * OF_BANDWIDTH))
        return max(computed, self.bytes / (BANDWIDTH * OF_BANDWIDTH))


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


def attention_kernel(name, moved, across, down, integer, shared=0.0):
    """A kernel of ours. `across`, `down`: products of [tokens, LENGTH, H]; `integer`, `shared`: per score."""
    flops = 2 * TOKENS * LENGTH * H
    return Operation(name, (across + down) * flops, moved, 1, PEAK, OF_MMA, SCORES * integer,
                     (across * ACROSS + down * DOWN) * flops / MMA + SCORES * shared / 32)


def attention_forward(keys):
    """keys: sequence, the default, or launch."""
    moved = B * TOKENS * 4 * H + F * TOKENS * HEADS
    if keys == "launch":
        return [Operation("attention with dropout", 4 * TOKENS * LENGTH * H, moved, 1, PEAK, OF_FLASH)]
    return [attention_kernel("attention with dropout", moved, 1, 1, DRAWN + SEEN + KEPT)]


def attention_backward(keys):
    moved = B * TOKENS * 8 * H + F * TOKENS * HEADS
    if keys == "launch":
        return [Operation("attention backward", 10 * TOKENS * LENGTH * H, moved, 3, PEAK, OF_FLASH_BACKWARD)]
    return [attention_kernel("attention backward: queries", B * TOKENS * 6 * H + F * TOKENS * HEADS, 2, 1,
                             DRAWN + SEEN + KEPT),
            attention_kernel("attention backward: keys and values", B * TOKENS * 6 * H + F * TOKENS * HEADS, 2, 2,
                             DRAWN + SEEN + KEPT_OF_KEYS, shared=2)]


def layer_forward(keys="sequence"):
    inner = INNER / H
    return [
        product("QKV product", TOKENS, H, 3 * H),
        *attention_forward(keys),
        product("attention output product", TOKENS, H, H),
        rows("AddNorm: bias, dropout, residual, LayerNorm", 2, 2),
        product("intermediate product", TOKENS, H, INNER),
        rows("Activate: bias, GELU", inner, inner),
        product("output product", TOKENS, INNER, H),
        rows("AddNorm: bias, dropout, residual, LayerNorm", 2, 2),
    ]


def layer_backward(keys="sequence"):
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
        *attention_backward(keys),
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


def attention_table():
    """The attention of a layer with both kinds of keys."""
    lines = ["**Attention of one layer, by `model.attention_dropout_keys`**", "",
             "| operation | keys | GFLOP | MB | integer instructions, G | loads of shared memory, M | launches | roofline µs | "
             "expected µs |", "|---|---|---:|---:|---:|---:|---:|---:|---:|"]
    for keys in KEYS:
        for each in attention_forward(keys) + attention_backward(keys):
            counted = f"{each.integer / 1e9:,.1f} | {each.shared / 1e6:,.0f}" if each.integer else " | "
            lines.append(f"| {each.name} | `{keys}` | {each.flops / 1e9:,.1f} | {each.bytes / 1e6:,.0f} | {counted} | "
                         f"{each.launches} | {each.roofline() * 1e6:,.0f} | {each.expected() * 1e6:,.0f} |")
    return lines + [""]


def operations(keys):
    """(operation, how often) of a step."""
    return [(each, LAYERS) for each in layer_forward(keys) + layer_backward(keys)] + [(each, 1) for each in once()]


def expected_milliseconds(keys):
    return 1e3 * sum(each.expected() * times for each, times in operations(keys))


def masks_milliseconds(keys, rounds=ROUNDS):
    """Of it, the expected time of dropout's decisions in our attention kernel."""
    draws = 3 if keys == "sequence" else 0
    per_score = (rounds * PER_ROUND + PER_BLOCK) / 8 * 9 / 8
    return 1e3 * LAYERS * draws * SCORES * per_score / (PEAK_INTEGER * OF_FLOAT32)


def whole_step():
    weights = LAYERS * (4 * H * H + 2 * H * INNER)
    useful = 6 * weights * TOKENS + 12 * LAYERS * TOKENS * LENGTH * H
    rows_of = [("useful FLOPs: 6 x weights x tokens + attention", lambda keys: f"{useful / 1e12:.2f} TFLOP")]

    def total(keys, get):
        return sum(get(each) * times for each, times in operations(keys))

    def share(seconds):
        return f"{seconds * 1e3:.1f} ms, {100 * useful / PEAK / seconds:.0f}% of peak"

    def attention(keys):
        return 1e3 * LAYERS * sum(each.expected() for each in attention_forward(keys) + attention_backward(keys))

    rows_of += [
        ("roofline", lambda keys: share(total(keys, Operation.roofline))),
        ("expected", lambda keys: share(total(keys, Operation.expected))),
        ("of it attention", lambda keys: f"{attention(keys):.1f} ms"),
        ("of that dropout's decisions", lambda keys: f"{masks_milliseconds(keys):.1f} ms" if keys == "sequence" else ""),
        ("of it outside products and attention",
         lambda keys: f"{total(keys, lambda each: each.expected() if each.peak != PEAK else 0) * 1e3:.1f} ms"),
        ("tokens per second, expected", lambda keys: f"{TOKENS / total(keys, Operation.expected):,.0f}"),
        ("launches", lambda keys: f"{total(keys, lambda each: each.launches)}, one per "
                                  f"{total(keys, Operation.expected) / total(keys, lambda each: each.launches) * 1e6:.0f} µs"),
    ]
    lines = ["**The whole step**", "", "| figure | `sequence`, the default | `launch` |", "|---|---:|---:|"]
    lines += [f"| {name} | {value('sequence')} | {value('launch')} |" for name, value in rows_of]
    return lines + [""]


def step():
    return (table("One layer, forward", layer_forward()) + table("One layer, backward", layer_backward()) +
            attention_table() + table("Once per step", once()) + whole_step())


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
