#include "coordinator/data/store/identical_ids.h"

#include "absl/container/flat_hash_map.h"
#include "common/view.h"
#include "coordinator/data/store/normalize.h"

namespace muster {

std::vector<IdenticalId> IdenticalIds(const Dataset& dataset) {
  absl::flat_hash_map<absl::string_view, uint32_t> queries;
  queries.reserve(dataset.queries());
  for (uint32_t query = 0; query < dataset.queries(); ++query) queries.emplace(ToAbsl(dataset.query_id(query)), query);
  std::vector<IdenticalId> pairs;
  for (uint32_t document = 0; document < dataset.documents(); ++document) {
    const auto found = queries.find(ToAbsl(dataset.document_id(document)));
    if (found != queries.end()) pairs.push_back({found->second, document});
  }
  return pairs;
}

bool IsSameText(const Dataset& dataset, const IdenticalId& pair) {
  const uint32_t passage = dataset.passage_of(pair.document);
  const std::string query = NormalizeText(dataset.query_text(pair.query));
  return query == NormalizeText(dataset.body(passage)) ||
         query == NormalizeText(PassageText(dataset.title(passage), dataset.body(passage)));
}

}  // namespace muster
