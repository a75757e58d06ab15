#include "coordinator/data/store/merge_splits.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/store/given_names.h"

namespace muster {
namespace {

absl::Status Conflict(absl::string_view kind, std::string_view id) {
  return absl::InvalidArgumentError(
      absl::StrCat("replace: ", kind, " \"", ToAbsl(id),
                   "\" of a split that stays has another text in this import, so that one name "
                   "would mean two texts. Import files for all splits, or import under another name."));
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class Merger {
 public:
  Merger(const Dataset& fresh, const Dataset& old, DatasetWriter& out) : fresh_(fresh), old_(old), out_(out) {}

  absl::Status AddFresh() {
    for (uint32_t document = 0; document < fresh_.documents(); ++document) {
      ASSIGN_OR_RETURN(const uint32_t passage, AddPassage(fresh_, document));
      ASSIGN_OR_RETURN(const uint32_t index, out_.AddDocument(fresh_.document_id(document), passage));
      documents_.Take(fresh_.document_id(document), index);
      document_with_.emplace(passage, index);
    }
    for (uint32_t query = 0; query < fresh_.queries(); ++query) {
      ASSIGN_OR_RETURN(const uint32_t index, out_.AddQuery(fresh_.query_id(query), fresh_.query_text(query)));
      queries_.Take(fresh_.query_id(query), index);
      if (IsGiven(fresh_.query_id(query), 'q', query)) rows_.emplace(NormalizeText(fresh_.query_text(query)), index);
    }
    const auto same = [](uint32_t index) -> absl::StatusOr<uint32_t> { return index; };
    for (uint32_t split = 0; split < fresh_.splits().size(); ++split) {
      RETURN_IF_ERROR(AddJudgments(fresh_, split, same, same));
    }
    return absl::OkStatus();
  }

  absl::Status AddKept(const std::vector<std::string>& kept) {
    document_of_.assign(old_.documents(), kAbsent);
    query_of_.assign(old_.queries(), kAbsent);
    // What the user named comes first, so that no new name can be one of the user's.
    for (uint32_t document = 0; document < old_.documents(); ++document) {
      if (!IsGiven(old_.document_id(document), 'p', document)) RETURN_IF_ERROR(OldDocument(document).status());
    }
    for (uint32_t query = 0; query < old_.queries(); ++query) {
      if (!IsGiven(old_.query_id(query), 'q', query) && IsJudged(query, kept))
        RETURN_IF_ERROR(OldQuery(query).status());
    }
    const auto document_of = [this](uint32_t document) { return OldDocument(document); };
    const auto query_of = [this](uint32_t query) { return OldQuery(query); };
    for (uint32_t split = 0; split < old_.splits().size(); ++split) {
      if (!Contains(kept, old_.splits()[split])) continue;
      RETURN_IF_ERROR(AddJudgments(old_, split, document_of, query_of));
    }
    return absl::OkStatus();
  }

 private:
  bool IsJudged(uint32_t query, const std::vector<std::string>& kept) const {
    for (uint32_t split = 0; split < old_.splits().size(); ++split) {
      if (Contains(kept, old_.splits()[split]) && !old_.judgments(split, query).empty()) return true;
    }
    return false;
  }

  absl::StatusOr<uint32_t> AddPassage(const Dataset& dataset, uint32_t document) {
    const uint32_t passage = dataset.passage_of(document);
    return out_.AddPassage(dataset.title(passage), dataset.body(passage));
  }

  template <typename DocumentOf, typename QueryOf>
  absl::Status AddJudgments(const Dataset& from, uint32_t split, const DocumentOf& document_of,
                            const QueryOf& query_of) {
    for (uint32_t query = 0; query < from.queries(); ++query) {
      for (Judgment judgment : from.judgments(split, query)) {
        ASSIGN_OR_RETURN(const uint32_t own_query, query_of(query));
        ASSIGN_OR_RETURN(judgment.document, document_of(judgment.document));
        judgment.passage = out_.passage_of(judgment.document);
        ASSIGN_OR_RETURN(judgment.source, out_.AddSource(from.sources()[judgment.source]));
        out_.AddJudgment(from.splits()[split], own_query, judgment);
      }
    }
    return absl::OkStatus();
  }

  // The merged dataset's document for one of the old; added when it is first asked for.
  absl::StatusOr<uint32_t> OldDocument(uint32_t document) {
    uint32_t& index = document_of_[document];
    if (index != kAbsent) return index;
    std::string_view id = old_.document_id(document);
    ASSIGN_OR_RETURN(const uint32_t passage, AddPassage(old_, document));
    const uint32_t same = documents_.Find(id);
    if (same != kAbsent && out_.passage_of(same) == passage) return index = same;
    if (IsGiven(id, 'p', document)) {
      const auto [found, is_new] = document_with_.try_emplace(passage, out_.documents());
      if (!is_new) return index = found->second;  // the text has a name already
      id = documents_.TakeNew(out_.documents());
    } else if (same != kAbsent) {
      return Conflict("document", id);
    } else {
      documents_.Take(id, out_.documents());
      document_with_.try_emplace(passage, out_.documents());
    }
    ASSIGN_OR_RETURN(index, out_.AddDocument(id, passage));
    return index;
  }

  absl::StatusOr<uint32_t> OldQuery(uint32_t query) {
    uint32_t& index = query_of_[query];
    if (index != kAbsent) return index;
    std::string_view id = old_.query_id(query);
    const std::string_view text = old_.query_text(query);
    const uint32_t same = queries_.Find(id);
    if (IsGiven(id, 'q', query)) {
      const auto row = rows_.find(NormalizeText(text));
      if (row != rows_.end()) return index = row->second;
      id = queries_.TakeNew(out_.queries());
    } else if (same == kAbsent) {
      queries_.Take(id, out_.queries());
    } else if (fresh_.query_text(same) == text) {
      return index = same;
    } else {
      return Conflict("query", id);
    }
    ASSIGN_OR_RETURN(index, out_.AddQuery(id, text));
    return index;
  }

  const Dataset &fresh_, &old_;
  DatasetWriter& out_;
  Names documents_{'p'}, queries_{'q'};
  absl::flat_hash_map<std::string, uint32_t> rows_;        // queries of rows without ids, by normal form
  absl::flat_hash_map<uint32_t, uint32_t> document_with_;  // passage → the first document with it
  std::vector<uint32_t> document_of_, query_of_;           // old → merged
};

}  // namespace

absl::Status MergeSplits(const Dataset& fresh, const Dataset& old, const std::vector<std::string>& kept,
                         DatasetWriter& out) {
  Merger merger(fresh, old, out);
  RETURN_IF_ERROR(merger.AddFresh());
  return merger.AddKept(kept);
}

}  // namespace muster
