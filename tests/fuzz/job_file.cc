// Job files: YAML with overrides. Laws: an accepted file is valid with its defaults, and reading is deterministic.
#include "client/job_file.h"

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "common/spec/job_spec.h"
#include "tests/fuzz/byte_source.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Overrides come before the file, separated by a byte that YAML refuses.
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> parts = absl::StrSplit(absl::string_view(input.data(), input.size()), '\x01');
  const std::string text = parts.back();
  parts.pop_back();
  const auto spec = muster::ParseJobFile("job.yaml", text, parts);
  if (!spec.ok()) {
    FUZZ_CHECK(!spec.status().message().empty(), "an error without words");
    return 0;
  }
  muster::v1::JobSpec filled = *spec;
  muster::FillDefaults(filled);
  const absl::Status valid = muster::ValidateJobSpec(filled);
  FUZZ_CHECK(valid.ok(), valid.ToString());
  return 0;
}
