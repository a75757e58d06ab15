#include "coordinator/data/import/base_records.h"

#include <utility>

#include "common/status.h"
#include "common/view.h"

namespace muster {

BaseRecords::BaseRecords(std::shared_ptr<const Dataset> dataset) : dataset_(std::move(dataset)) {
  documents_.reserve(dataset_->documents());
  for (uint32_t document = 0; document < dataset_->documents(); ++document) {
    documents_.emplace(ToAbsl(dataset_->document_id(document)), document);
  }
  queries_.reserve(dataset_->queries());
  for (uint32_t query = 0; query < dataset_->queries(); ++query) {
    queries_.emplace(ToAbsl(dataset_->query_id(query)), query);
  }
}

absl::StatusOr<std::optional<uint32_t>> BaseRecords::CopyDocument(const std::string& id, DatasetWriter& writer) const {
  const auto found = documents_.find(id);
  if (found == documents_.end()) return std::nullopt;
  const uint32_t passage = dataset_->passage_of(found->second);
  ASSIGN_OR_RETURN(const uint32_t copied, writer.AddPassage(dataset_->title(passage), dataset_->body(passage)));
  return writer.AddDocument(id, copied);
}

absl::StatusOr<std::optional<uint32_t>> BaseRecords::CopyQuery(const std::string& id, DatasetWriter& writer) const {
  const auto found = queries_.find(id);
  if (found == queries_.end()) return std::nullopt;
  return writer.AddQuery(id, dataset_->query_text(found->second));
}

}  // namespace muster
