// CSV and TSV in any pieces. Laws: the pieces change nothing, and an error has a message.
#include "coordinator/data/import/delimited.h"

#include "absl/strings/str_cat.h"
#include "common/view.h"
#include "tests/fuzz/byte_source.h"
#include "tests/fuzz/check.h"

namespace muster {
namespace {

std::string Read(std::string_view bytes, size_t piece) {
  std::string seen;
  DelimitedReader reader("f", [&](uint64_t line, const absl::Status& status, InputRecord& record) {
    absl::StrAppend(&seen, line, status.ok() ? "" : std::string(status.message()));
    if (status.ok()) {
      for (const InputRecord::Value value : record.root()) absl::StrAppend(&seen, ToAbsl(value.key()), "=", ToAbsl(value.text()), ";");
    }
    return absl::OkStatus();
  });
  absl::Status status;
  while (!bytes.empty() && status.ok()) {
    const std::string_view front = bytes.substr(0, piece);
    bytes.remove_prefix(front.size());
    status = reader.Feed(front);
  }
  if (status.ok()) status = reader.Finish();
  if (status.ok()) return seen;
  FUZZ_CHECK(!status.message().empty(), "an error without words");
  return std::string(status.message());
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  muster::ByteSource source(data, size);
  const size_t piece = 1 + source.Byte();
  const std::string_view bytes = source.Rest();
  const std::string whole = muster::Read(bytes, bytes.size() + 1), pieces = muster::Read(bytes, piece);
  FUZZ_CHECK(whole == pieces, whole + " is not " + pieces);
  return 0;
}
