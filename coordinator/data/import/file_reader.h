// The records of one file, whatever its format: lines of JSON, a JSON array, objects over several lines, CSV, TSV,
// Parquet, or plain lines.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "coordinator/data/import/delimited.h"
#include "coordinator/data/import/json_text.h"
#include "coordinator/data/import/parquet_reader.h"
#include "coordinator/data/import/place.h"
#include "coordinator/data/import/record.h"
#include "coordinator/data/import/record_splitter.h"

namespace muster {

// Not thread-safe. The file's first line shows the format; where that is not enough, the file's name does.
class FileReader {
 public:
  // `status`: what is wrong with the record, or OK. `text`: the record in the file, empty where it has none.
  using Sink =
      std::function<absl::Status(const Place& place, const absl::Status& status, std::string_view text, InputRecord& record)>;
  struct Options {
    std::string path;                // as received, for messages
    std::string plain_path;          // without .gz and .zst
    bool must_read = false;          // a schema was named: the file is read whatever its name
    std::filesystem::path scratch;   // for formats that need the whole file
    std::filesystem::path parquet;  // the program that reads Parquet
  };
  FileReader(Options options, JsonParser& json, Sink sink);

  // INVALID_ARGUMENT, with the file's name, if the rest cannot be read.
  absl::Status Feed(std::string_view bytes);
  absl::Status Finish();

  // Whether the file's format holds no records; then none of it is passed on.
  bool is_other() const { return format_ == Format::kOther; }
  const std::string& begin() const { return begin_; }  // its first bytes, at most kLookBytes

 private:
  enum class Format { kUnknown, kOther, kJson, kLines, kDelimited, kParquet };
  absl::Status Decide(bool at_end);
  absl::StatusOr<Format> FormatOf(std::string_view head) const;
  absl::Status FeedDecided(std::string_view bytes);

  const Options options_;
  JsonParser& json_;
  const Sink sink_;
  Format format_ = Format::kUnknown;
  std::string head_, begin_;
  InputRecord record_;
  std::optional<RecordSplitter> splitter_;
  std::optional<DelimitedReader> delimited_;
  std::optional<ParquetReader> parquet_;
};

}  // namespace muster
