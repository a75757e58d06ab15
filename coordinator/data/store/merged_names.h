// Maps documents and queries of two datasets to records of the merged one. The same rule for adding and for replacing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "coordinator/data/store/dataset_writer.h"
#include "coordinator/data/store/given_names.h"

namespace muster {

// The first dataset's records keep their ids (Keep). One of the second (Merge)
// - is the record with its id, if that has its text;
// - if an import gave its id (IsGiven), is the first record with its text, or gets a new name;
// - otherwise is added with its id, or refused if that id means another text: `conflict` makes the error.
// Records of the second dataset whose ids users gave come before the others, so that no new name is one of theirs.
//
// Not thread-safe. The writer and both datasets outlive these; ids are views of the datasets.
using NameConflict = absl::Status (*)(std::string_view kind, std::string_view id);

class MergedDocuments {
 public:
  MergedDocuments(DatasetWriter& out, NameConflict conflict) : out_(out), conflict_(conflict) {}
  absl::Status Keep(std::string_view id, uint32_t passage);  // `passage`: its number in the writer
  absl::StatusOr<uint32_t> Merge(std::string_view id, bool is_given, uint32_t passage);

 private:
  DatasetWriter& out_;
  const NameConflict conflict_;
  Names names_{'p'};
  absl::flat_hash_map<uint32_t, uint32_t> first_with_;  // passage → document
};

// A query with an id of the user's is never merged by text (docs/reference/data-schemas.md).
class MergedQueries {
 public:
  MergedQueries(DatasetWriter& out, NameConflict conflict) : out_(out), conflict_(conflict) {}
  absl::Status Keep(std::string_view id, bool is_given, std::string_view text);
  absl::StatusOr<uint32_t> Merge(std::string_view id, bool is_given, std::string_view text);

 private:
  DatasetWriter& out_;
  const NameConflict conflict_;
  Names names_{'q'};
  absl::flat_hash_map<std::string, uint32_t> rows_;  // queries of rows without ids, by normal form
  std::vector<std::string_view> texts_;              // of the writer's queries
};

}  // namespace muster
