// The output of a rank: messages on its pipe, lines on its standard output. Laws: pieces give the same as the whole; log
// text is complete lines of valid UTF-8 within its limits.
#include "common/deterministic_bytes.h"
#include "common/process/delimited_reader.h"
#include "coordinator/data/store/normalize.h"
#include "muster/rank/v1/rank.pb.h"
#include "tests/fuzz/byte_source.h"
#include "tests/fuzz/check.h"
#include "worker/agent/log_text.h"

namespace muster {
namespace {

struct Outcome {
  std::vector<std::string> messages;
  std::string error;
  bool operator==(const Outcome&) const = default;
};

Outcome Read(std::string_view bytes, size_t piece) {
  DelimitedReader reader(1 << 16);
  Outcome outcome;
  while (!bytes.empty()) {
    const std::string_view front = bytes.substr(0, piece);
    bytes.remove_prefix(front.size());
    reader.Append(front);
    while (true) {
      muster::rank::v1::RankMessage message;
      const absl::StatusOr<bool> next = reader.Next(message);
      if (!next.ok()) {
        outcome.error = std::string(next.status().message());
        return outcome;
      }
      if (!*next) break;
      outcome.messages.push_back(muster::DeterministicBytes(message));  // maps have no defined order
    }
  }
  return outcome;
}

std::string Lines(std::string_view bytes, size_t piece, size_t longest) {
  LineCutter cutter(longest);
  std::string lines;
  while (!bytes.empty()) {
    const std::string_view front = bytes.substr(0, piece);
    bytes.remove_prefix(front.size());
    lines += cutter.Add(front);
  }
  return lines + cutter.Finish();
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  muster::ByteSource source(data, size);
  const size_t piece = 1 + source.Byte(), longest = 1 + source.Byte();
  const std::string_view bytes = source.Rest();
  FUZZ_CHECK(muster::Read(bytes, piece) == muster::Read(bytes, bytes.size() + 1), "pieces read otherwise");
  const std::string lines = muster::Lines(bytes, piece, longest);
  FUZZ_CHECK(lines.empty() || lines.back() == '\n', "no whole lines");
  FUZZ_CHECK(muster::FirstInvalidUtf8(lines) == std::string::npos, "not UTF-8");
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = lines.find('\n', begin);
    FUZZ_CHECK(end - begin <= longest, "a line above the limit");
    begin = end + 1;
  }
  muster::LogTail tail(longest);
  tail.Add(lines);
  FUZZ_CHECK(tail.text().size() <= longest, "a tail above its limit");
  FUZZ_CHECK(muster::FirstInvalidUtf8(tail.text()) == std::string::npos, "a tail that is not UTF-8");
  return 0;
}
