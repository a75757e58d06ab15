// Text files of an export, written in pieces.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "common/status.h"
#include "coordinator/data/store/dataset_export.h"

namespace muster {

class ExportWriter {
 public:
  explicit ExportWriter(const ExportSink& sink) : sink_(sink) {}

  absl::Status Begin(const std::string& path) {
    RETURN_IF_ERROR(Flush());
    return sink_.begin(path);
  }
  absl::Status Line(std::string_view line) {
    buffer_.append(line).push_back('\n');
    return buffer_.size() < kPiece ? absl::OkStatus() : Flush();
  }
  absl::Status Json(const nlohmann::ordered_json& record) {
    return Line(record.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  }
  absl::Status Flush() {
    if (buffer_.empty()) return absl::OkStatus();
    const absl::Status status = sink_.append(buffer_);
    buffer_.clear();
    return status;
  }

 private:
  static constexpr size_t kPiece = 256 << 10;
  const ExportSink& sink_;
  std::string buffer_;
};

// A teacher's scores, which no format carries.
inline uint64_t CountScores(const Dataset& dataset) {
  uint64_t count = 0;
  for (uint32_t split = 0; split < dataset.splits().size(); ++split) {
    for (uint32_t query = 0; query < dataset.queries(); ++query) {
      const std::span<const float> scores = dataset.scores(split, query);
      count += static_cast<uint64_t>(std::count_if(scores.begin(), scores.end(), HasScore));
    }
  }
  return count;
}

// The shortest text that reads back as the same number.
inline std::string GradeText(float grade) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), grade).ptr);
}

}  // namespace muster
