// What each schema of users' files knows: which files it takes, and what a record means.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/data/import/bad_records.h"
#include "coordinator/data/import/base_records.h"
#include "coordinator/data/store/dataset_writer.h"

namespace muster {

// What a reader works with. All outlive it.
struct ImportContext {
  DatasetWriter& writer;
  BadRecords& bad;
  std::vector<std::string>& notes;
  std::string source;     // of judgments that name none
  std::string split;      // given for all files; empty: none was
  bool is_named = false;  // the schema was named, and not recognized from the files
  const BaseRecords* base = nullptr;  // of the dataset that judgments are added to; null: files bring all they name
};

// Not thread-safe. Files come one after the other, each with its lines in order; then Finish, once.
// Paths are without a suffix .gz or .zst.
class SchemaReader {
 public:
  virtual ~SchemaReader() = default;
  virtual bool Takes(std::string_view path) const = 0;
  // The next records are of this file. `split`: given for it alone, or empty. INVALID_ARGUMENT if its split is
  // ambiguous or contradicts what was given.
  virtual absl::Status Begin(const std::string& path, const std::string& split) = 0;
  // OK after a bad record that is tolerated.
  virtual absl::Status Record(const std::string& path, uint64_t line, std::string_view text) = 0;
  virtual absl::Status Finish() = 0;
};

bool IsBeirPath(std::string_view path);  // corpus.jsonl, queries.jsonl or qrels/SPLIT.tsv, in any folder
bool IsJsonLinesPath(std::string_view path);  // *.jsonl, *.json

std::unique_ptr<SchemaReader> MakeBeirReader(ImportContext context);
std::unique_ptr<SchemaReader> MakeFlagEmbeddingReader(ImportContext context);

}  // namespace muster
