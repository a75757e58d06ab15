#include "coordinator/data/import/base_records.h"

#include <utility>

#include "common/status.h"

namespace muster {

BaseRecords::BaseRecords(std::shared_ptr<const Dataset> dataset) : dataset_(std::move(dataset)) {
  documents_.reserve(dataset_->documents());
  for (uint32_t document = 0; document < dataset_->documents(); ++document) {
    documents_.emplace(DigestOfId(dataset_->document_id(document)), document);
  }
  queries_.reserve(dataset_->queries());
  for (uint32_t query = 0; query < dataset_->queries(); ++query) {
    queries_.emplace(DigestOfId(dataset_->query_id(query)), query);
  }
}

absl::Status BaseRecords::CopyDocument(const Digest128& id, DigestIndex& index, DatasetWriter& writer) const {
  const auto found = documents_.find(id);
  if (found == documents_.end() || !index.Insert(id).second) return absl::OkStatus();
  const uint32_t passage = dataset_->passage_of(found->second);
  ASSIGN_OR_RETURN(const uint32_t copied, writer.AddPassage(dataset_->title(passage), dataset_->body(passage)));
  return writer.AddDocument(dataset_->document_id(found->second), copied).status();
}

absl::Status BaseRecords::CopyQuery(const Digest128& id, DigestIndex& index, DatasetWriter& writer) const {
  const auto found = queries_.find(id);
  if (found == queries_.end() || !index.Insert(id).second) return absl::OkStatus();
  return writer.AddQuery(dataset_->query_id(found->second), dataset_->query_text(found->second)).status();
}

}  // namespace muster
