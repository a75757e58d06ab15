#include "coordinator/data/store/merged_names.h"

#include "common/status.h"
#include "coordinator/data/store/normalize.h"

namespace muster {

absl::Status MergedDocuments::Keep(std::string_view id, uint32_t passage) {
  names_.Take(id, out_.documents());
  first_with_.try_emplace(passage, out_.documents());
  return out_.AddDocument(id, passage).status();
}

absl::StatusOr<uint32_t> MergedDocuments::Merge(std::string_view id, bool is_given, uint32_t passage) {
  const uint32_t same = names_.Find(id);
  if (same != kAbsent && out_.passage_of(same) == passage) return same;
  if (is_given) {
    const auto [found, is_new] = first_with_.try_emplace(passage, out_.documents());
    if (!is_new) return found->second;
    id = names_.TakeNew(out_.documents());
  } else if (same != kAbsent) {
    return conflict_("document", id);
  } else {
    names_.Take(id, out_.documents());
    first_with_.try_emplace(passage, out_.documents());
  }
  return out_.AddDocument(id, passage);
}

absl::Status MergedQueries::Keep(std::string_view id, bool is_given, std::string_view text) {
  names_.Take(id, out_.queries());
  if (is_given) rows_.try_emplace(NormalizeText(text), out_.queries());
  texts_.push_back(text);
  return out_.AddQuery(id, text).status();
}

absl::StatusOr<uint32_t> MergedQueries::Merge(std::string_view id, bool is_given, std::string_view text) {
  const uint32_t same = names_.Find(id);
  if (same != kAbsent && texts_[same] == text) return same;
  if (is_given) {
    const auto [row, is_new] = rows_.try_emplace(NormalizeText(text), out_.queries());
    if (!is_new) return row->second;
    id = names_.TakeNew(out_.queries());
  } else if (same != kAbsent) {
    return conflict_("query", id);
  } else {
    names_.Take(id, out_.queries());
  }
  texts_.push_back(text);
  return out_.AddQuery(id, text);
}

}  // namespace muster
