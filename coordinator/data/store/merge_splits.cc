#include "coordinator/data/store/merge_splits.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/store/merged_names.h"

namespace muster {
namespace {

absl::Status ReplaceConflict(std::string_view kind, std::string_view id) {
  return absl::InvalidArgumentError(
      absl::StrCat("replace: ", ToAbsl(kind), " \"", ToAbsl(id),
                   "\" of a split that stays has another text in this import, so that one name "
                   "would mean two texts. Import files for all splits, or import under another name."));
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

class Merger {
 public:
  Merger(const Dataset& fresh, const Dataset& old, DatasetWriter& out)
      : fresh_(fresh), old_(old), out_(out), documents_(out, ReplaceConflict), queries_(out, ReplaceConflict) {}

  absl::Status AddFresh() {
    for (uint32_t document = 0; document < fresh_.documents(); ++document) {
      ASSIGN_OR_RETURN(const uint32_t passage, AddPassage(fresh_, document));
      RETURN_IF_ERROR(documents_.Keep(fresh_.document_id(document), passage));
    }
    for (uint32_t query = 0; query < fresh_.queries(); ++query) {
      const bool is_given = IsGiven(fresh_.query_id(query), 'q', query);
      RETURN_IF_ERROR(queries_.Keep(fresh_.query_id(query), is_given, fresh_.query_text(query)));
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
    // Records named by users come first, so that no new name can be one of theirs.
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
      const std::span<const float> scores = from.scores(split, query);
      size_t next = 0;
      for (Judgment judgment : from.judgments(split, query)) {
        const float score = scores.empty() ? kNoScore : scores[next++];
        ASSIGN_OR_RETURN(const uint32_t own_query, query_of(query));
        ASSIGN_OR_RETURN(judgment.document, document_of(judgment.document));
        judgment.passage = out_.passage_of(judgment.document);
        ASSIGN_OR_RETURN(judgment.source, out_.AddSource(from.sources()[judgment.source]));
        out_.AddJudgment(from.splits()[split], own_query, judgment, score);
      }
    }
    return absl::OkStatus();
  }

  // The merged dataset's document for one of the old dataset; added at its first use.
  absl::StatusOr<uint32_t> OldDocument(uint32_t document) {
    uint32_t& index = document_of_[document];
    if (index != kAbsent) return index;
    ASSIGN_OR_RETURN(const uint32_t passage, AddPassage(old_, document));
    const std::string_view id = old_.document_id(document);
    ASSIGN_OR_RETURN(index, documents_.Merge(id, IsGiven(id, 'p', document), passage));
    return index;
  }

  absl::StatusOr<uint32_t> OldQuery(uint32_t query) {
    uint32_t& index = query_of_[query];
    if (index != kAbsent) return index;
    const std::string_view id = old_.query_id(query);
    ASSIGN_OR_RETURN(index, queries_.Merge(id, IsGiven(id, 'q', query), old_.query_text(query)));
    return index;
  }

  const Dataset &fresh_, &old_;
  DatasetWriter& out_;
  MergedDocuments documents_;
  MergedQueries queries_;
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
