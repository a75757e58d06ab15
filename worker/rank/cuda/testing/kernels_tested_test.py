#!/usr/bin/env python3
"""Every kernel has a test on the host, and something calls it.

For each __global__ function of the folder's .cu files this finds the launchers: the functions of headers that launch it,
themselves or through others. A test of rank_cuda_kernels_test must call one of them. Each launcher must be called by an
operation of cuda_*.cc or by another launcher: otherwise a GPU does not use its kernel.

usage: kernels_tested_test.py FOLDER     FOLDER: worker/rank/cuda
"""
import pathlib
import re
import sys

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
BOUNDS = re.compile(r"__launch_bounds__\((?:[^()]|\([^()]*\))*\)")
WORD = re.compile(r"\b[A-Za-z_]\w*\b")
# A call of NAME(...) or NAME<...>(...), not of a method.
CALL = r"(?<![\w.>:]){}\s*(?:<[^;(){{}}]*>)?\s*\("


def blocks(text):
    """(signature, body) of each definition of a file whose definitions begin in the first column."""
    text = BOUNDS.sub("", COMMENT.sub("", text))
    lines = [line for line in text.splitlines() if not re.match(r"#|namespace |using |\}  *$", line)]
    for chunk in re.split(r"\n(?=template|[A-Za-z_])", "\n".join(lines)):
        chunk = re.sub(r"^template\s*<[^>]*>\s*", "", chunk.strip())
        signature, brace, body = chunk.partition("{")
        if brace and "(" in signature:
            yield signature, body


def name_of(signature):
    return re.search(r"(\w+)\s*(?:<[^()]*>)?\s*\(", signature).group(1)


class Kernels:
    """sources: name of a .cu file → its text; headers: name → text."""

    def __init__(self, sources, headers):
        self.kernels = []     # (file, kernel)
        self.bodies = {}      # (file, function) → words of its definitions
        declared = set()
        for text in headers.values():
            declared |= {match.group(1) for match in
                         re.finditer(r"^int\s+(\w+)\(", COMMENT.sub("", text), re.M)}
        for file, text in sources.items():
            for signature, body in blocks(text):
                name = name_of(signature)
                if "__global__" in signature:
                    self.kernels.append((file, name))
                elif "__device__" not in signature:
                    self.bodies.setdefault((file, name), set()).update(WORD.findall(body))
        self.public = {key for key in self.bodies if key[1] in declared}

    def launchers(self, file, kernel):
        """The declared functions in whose calls the kernel is launched."""
        found, todo = set(), [(file, kernel)]
        seen = set(todo)
        while todo:
            called = todo.pop()
            for key, words in self.bodies.items():
                # A function of no header is only known in its own file.
                visible = key[0] == called[0] or called in self.public
                if not visible or called[1] not in words or key in seen:
                    continue
                seen.add(key)
                todo.append(key)
                if key in self.public:
                    found.add(key[1])
        return found

    def called_by_kernels(self, name):
        return any(name in words and caller != name for (_, caller), words in self.bodies.items())


def calls(name, text):
    return re.search(CALL.format(re.escape(name)), COMMENT.sub("", text)) is not None


def problems(sources, headers, tests, operations):
    """All texts by file name. `tests` call kernels; `operations` call them for a rank."""
    broken = []
    kernels = Kernels(sources, headers)
    if not kernels.kernels:
        return ["no kernel was found"]
    for file, kernel in kernels.kernels:
        own = kernels.launchers(file, kernel)
        if not own:
            broken.append(f"{file}: {kernel}: no function of a header launches it")
        elif not any(calls(name, text) for name in own for text in tests.values()):
            broken.append(f"{file}: {kernel}: no test calls {' or '.join(sorted(own))}. Add one to the tests in testing/ that "
                          "rank_cuda_kernels_test runs")
    for name in sorted({name for file, kernel in kernels.kernels for name in kernels.launchers(file, kernel)}):
        used = any(re.search(rf"\bcuda::{name}\b", COMMENT.sub("", text)) for text in operations.values())
        if not used and not kernels.called_by_kernels(name):
            broken.append(f"{name}: no operation of cuda_*.cc calls it, so a GPU does not use its kernel. Call it, or remove it")
    return broken


def check_the_check():
    """The rule finds what it is for."""
    source = """namespace a {
template <typename T>
__global__ void __launch_bounds__(kThreads) OneKernel(T* x) {
  x[0] = 1;
}
template <typename T>
__global__ void
    TwoKernel(const T* x) {}
template <typename T>
int Run(T* x) {
  return Launch(OneKernel<T>, 1, 1, 0, x);
}
}  // namespace a
int One(float* x, void* stream) {
  return Run<float>(x);
}
int Two(float* x, void* stream) { return Launch(TwoKernel<float>, 1, 1, 0, x); }
"""
    header = "// Does int Three(\nint One(float* x, void* stream);\nint Two(float* x,\n        void* stream);\n"
    test = "TEST(A, B) { One(x, nullptr); EXPECT_EQ(Two<float>(x, nullptr), 0); }"
    operations = "CheckCuda(cuda::One(x), \"\"); CheckCuda(cuda::Two(x), \"\");"
    cases = [((test, operations), []),
             ((test.replace("Two<float>(", "ops.Two("), operations), ["TwoKernel"]),
             (("// One(x)\nTwo(x)", operations), ["OneKernel"]),
             ((test, operations.replace("cuda::One", "One")), ["One: no operation"])]
    for (tests, calls_of), expected in cases:
        found = problems({"a.cu": source}, {"a.h": header}, {"t": tests}, {"o": calls_of})
        assert len(found) == len(expected) and all(part in line for part, line in zip(expected, found)), (found, expected)


def main():
    check_the_check()
    folder = pathlib.Path(sys.argv[1])

    def texts(*patterns):
        return {path.name: path.read_text(encoding="utf-8") for pattern in patterns for path in sorted(folder.glob(pattern))}

    sources = texts("*.cu")
    tests = {name: text for name, text in texts("testing/*_test.cc").items() if not name.startswith(("cuda_", "host_cuda"))}
    broken = problems(sources, texts("*.h"), tests, texts("cuda_*.cc"))
    for line in broken:
        print(line)
    print(f"{sum('__global__' in line for text in sources.values() for line in text.splitlines())} kernels, "
          f"{len(broken)} problems")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
