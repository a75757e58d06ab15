// gzip, zstd and plain bytes into lines. Laws: pieces give the same as the whole, and memory stays bounded.
#include "coordinator/data/import/decoder.h"

#include "coordinator/data/import/line_splitter.h"
#include "tests/fuzz/byte_source.h"
#include "tests/fuzz/check.h"

namespace muster {
namespace {

constexpr size_t kEnough = 8 << 20;  // decoded bytes, after which the rest of a decompression bomb does not matter

std::string Read(std::string_view bytes, size_t piece) {
  std::string seen;
  size_t decoded = 0;
  LineSplitter lines("f", [&](uint64_t line, std::string_view text) {
    FUZZ_CHECK(text.find('\n') == std::string_view::npos && !text.empty(), "no line");
    seen += std::to_string(line) + ":";
    seen += std::to_string(std::hash<std::string_view>{}(text)) + "\n";
    return absl::OkStatus();
  });
  Decoder decoder("f", [&](std::string_view part) {
    decoded += part.size();
    return decoded > kEnough ? absl::ResourceExhaustedError("enough") : lines.Feed(part);
  });
  absl::Status status;
  while (!bytes.empty() && status.ok()) {
    const std::string_view front = bytes.substr(0, piece);
    bytes.remove_prefix(front.size());
    status = decoder.Feed(front);
  }
  if (status.ok()) status = decoder.Finish();
  if (status.ok()) status = lines.Finish();
  if (absl::IsResourceExhausted(status)) return "enough";
  return status.ok() ? seen : std::string(status.message());
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  muster::ByteSource source(data, size);
  const size_t piece = 1 + source.Take<uint16_t>();
  const std::string_view bytes = source.Rest();
  const std::string whole = muster::Read(bytes, bytes.size() + 1), pieces = muster::Read(bytes, piece);
  FUZZ_CHECK(whole == pieces, whole + " is not " + pieces);
  return 0;
}
