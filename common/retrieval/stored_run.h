// The rankings of a report (report.run_depth), which rank 0 stores next to the values by query. Ranks know documents and
// queries by number, so the file has numbers: `muster get --run` and `muster eval --out` replace them by ids
// (client/report_ids.h).
//
// The file is binary, little-endian: kStoredRunMagic, then for each query its number (4 bytes), the length of its ranking
// (4 bytes), the documents' numbers (4 bytes each, best first), and their scores (float32). Queries are in ascending order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <span>
#include <string_view>

#include "absl/status/status.h"

namespace muster {

inline constexpr char kStoredRunFile[] = "report_run.bin";
inline constexpr std::string_view kStoredRunMagic = "MUSTRUN1";

// Writes the file query by query, because a run may have hundreds of millions of documents. Not thread-safe.
class StoredRunWriter {
 public:
  explicit StoredRunWriter(const std::filesystem::path& file);
  // Both spans have the same size.
  void Add(uint32_t query, std::span<const uint32_t> documents, std::span<const float> scores);
  // Closes the file. The first error of any write, with the file's name.
  absl::Status Finish();

 private:
  const std::filesystem::path file_;
  std::ofstream out_;
};

struct StoredRanking {
  uint32_t query = 0;
  std::span<const uint32_t> documents;  // valid during the call that gets them
  std::span<const float> scores;
};
// Calls `take` with each ranking, and stops at its first error. DATA_LOSS: the bytes are not those of such a file.
absl::Status ForEachRanking(std::string_view bytes, const std::function<absl::Status(const StoredRanking&)>& take);

}  // namespace muster
