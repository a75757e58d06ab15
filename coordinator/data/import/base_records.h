// The queries and documents of the dataset to which judgments are added: files without a corpus refer to these.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/store/dataset_writer.h"
#include "coordinator/data/store/digest_index.h"

namespace muster {

// Not thread-safe. Ids are given as their digests (DigestOfId).
class BaseRecords {
 public:
  explicit BaseRecords(std::shared_ptr<const Dataset> dataset);

  // Copies the record with this id to the writer, unless `index` already contains it. Returns its number in `index`.
  absl::Status CopyDocument(const Digest128& id, DigestIndex& index, DatasetWriter& writer) const;
  absl::Status CopyQuery(const Digest128& id, DigestIndex& index, DatasetWriter& writer) const;

 private:
  const std::shared_ptr<const Dataset> dataset_;
  absl::flat_hash_map<Digest128, uint32_t> documents_, queries_;
};

}  // namespace muster
