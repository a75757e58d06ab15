// Checks a law in a fuzz target. A broken law ends the process, which libFuzzer and ctest both notice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#define FUZZ_CHECK(condition, text)                                                                           \
  do {                                                                                                        \
    if (!(condition)) {                                                                                       \
      std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, std::string(text).c_str());     \
      std::abort();                                                                                           \
    }                                                                                                         \
  } while (false)
