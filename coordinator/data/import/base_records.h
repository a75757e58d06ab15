// The queries and documents of a dataset to which judgments are added: files that bring no corpus refer to these.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/store/dataset_writer.h"

namespace muster {

// Not thread-safe.
class BaseRecords {
 public:
  explicit BaseRecords(std::shared_ptr<const Dataset> dataset);

  // Copies the record with this id to the writer and returns its index there; nothing if the dataset has none. The caller
  // remembers what it asked for: a second call copies again.
  absl::StatusOr<std::optional<uint32_t>> CopyDocument(const std::string& id, DatasetWriter& writer) const;
  absl::StatusOr<std::optional<uint32_t>> CopyQuery(const std::string& id, DatasetWriter& writer) const;

 private:
  const std::shared_ptr<const Dataset> dataset_;
  absl::flat_hash_map<absl::string_view, uint32_t> documents_, queries_;
};

}  // namespace muster
