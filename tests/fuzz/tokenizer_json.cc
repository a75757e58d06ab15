// tokenizer.json as pushed, and as written into an export. Law: if the first is accepted, so is the second.
#include "common/model/tokenizer_json.h"

#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto written = muster::UntruncatedTokenizer(std::string(reinterpret_cast<const char*>(data), size));
  if (!written.ok()) return 0;
  const auto again = muster::UntruncatedTokenizer(*written);
  FUZZ_CHECK(again.ok() && *again == *written, *written);
  return 0;
}
