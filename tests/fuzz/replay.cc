// Runs a fuzz target over its packed corpus, without libFuzzer: usage: PROGRAM CORPUS.txt...
//
// A line of a corpus is one input as the inside of a C string ("\n", "\377"). Lines that begin with # are comments; for a
// regression they say what the input once caused.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/escaping.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CORPUS.txt...\n", argv[0]);
    return 2;
  }
  int inputs = 0;
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i]);
    std::string line, input, error;
    for (int number = 1; std::getline(file, line); ++number) {
      if (!line.empty() && line[0] == '#') continue;
      if (!absl::CUnescape(line, &input, &error)) {
        std::fprintf(stderr, "%s:%d: %s\n", argv[i], number, error.c_str());
        return 1;
      }
      std::fprintf(stderr, "%s:%d\n", argv[i], number);
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
      ++inputs;
    }
  }
  std::printf("%d inputs\n", inputs);
  return inputs > 0 ? 0 : 1;
}
