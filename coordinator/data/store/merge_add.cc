#include "coordinator/data/store/merge_add.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/status.h"
#include "coordinator/data/store/given_names.h"

namespace muster {
namespace {

absl::Status Conflict(absl::string_view kind, std::string_view id) {
  return absl::InvalidArgumentError(absl::StrCat("add: ", kind, " \"", ToAbsl(id),
                                                 "\" has another text in the dataset than in these files, so that one "
                                                 "name would mean two texts. Rename it, or import under another name."));
}

template <typename IdOf>
bool AllGiven(uint32_t count, char letter, const IdOf& id_of) {
  for (uint32_t index = 0; index < count; ++index) {
    if (!IsGiven(id_of(index), letter, index)) return false;
  }
  return true;
}

class Adder {
 public:
  Adder(const Dataset& old, const Dataset& fresh, DatasetWriter& out)
      : old_(old),
        fresh_(fresh),
        out_(out),
        given_documents_(AllGiven(fresh.documents(), 'p', [&](uint32_t i) { return fresh.document_id(i); })),
        given_queries_(AllGiven(fresh.queries(), 'q', [&](uint32_t i) { return fresh.query_id(i); })) {}

  absl::Status AddOld() {
    // Passages in their own order, which need not be that of the documents.
    for (uint32_t passage = 0; passage < old_.passages(); ++passage) {
      RETURN_IF_ERROR(out_.AddPassage(old_.title(passage), old_.body(passage)).status());
    }
    for (uint32_t document = 0; document < old_.documents(); ++document) {
      RETURN_IF_ERROR(out_.AddDocument(old_.document_id(document), old_.passage_of(document)).status());
      documents_.Take(old_.document_id(document), document);
      document_with_.try_emplace(old_.passage_of(document), document);
    }
    for (uint32_t query = 0; query < old_.queries(); ++query) {
      RETURN_IF_ERROR(out_.AddQuery(old_.query_id(query), old_.query_text(query)).status());
      queries_.Take(old_.query_id(query), query);
      if (IsGiven(old_.query_id(query), 'q', query)) rows_.try_emplace(NormalizeText(old_.query_text(query)), query);
    }
    for (const std::string& source : old_.sources()) RETURN_IF_ERROR(out_.AddSource(source).status());
    const auto same = [](uint32_t index) { return index; };
    return AddJudgments(old_, same, same);
  }

  absl::Status AddFresh() {
    std::vector<uint32_t> document_of, query_of;
    for (uint32_t document = 0; document < fresh_.documents(); ++document) {
      ASSIGN_OR_RETURN(const uint32_t index, DocumentOf(document));
      document_of.push_back(index);
    }
    for (uint32_t query = 0; query < fresh_.queries(); ++query) {
      ASSIGN_OR_RETURN(const uint32_t index, QueryOf(query));
      query_of.push_back(index);
    }
    return AddJudgments(fresh_, [&](uint32_t document) { return document_of[document]; },
                        [&](uint32_t query) { return query_of[query]; });
  }

 private:
  absl::StatusOr<uint32_t> DocumentOf(uint32_t document) {
    std::string_view id = fresh_.document_id(document);
    const uint32_t fresh_passage = fresh_.passage_of(document);
    ASSIGN_OR_RETURN(const uint32_t passage,
                     out_.AddPassage(fresh_.title(fresh_passage), fresh_.body(fresh_passage)));
    const uint32_t same = documents_.Find(id);
    if (same != kAbsent && out_.passage_of(same) == passage) return same;
    if (given_documents_) {
      const auto found = document_with_.find(passage);
      if (found != document_with_.end()) return found->second;
      id = documents_.TakeNew(out_.documents());
    } else if (same != kAbsent) {
      return Conflict("document", id);
    } else {
      documents_.Take(id, out_.documents());
    }
    document_with_.try_emplace(passage, out_.documents());
    return out_.AddDocument(id, passage);
  }

  absl::StatusOr<uint32_t> QueryOf(uint32_t query) {
    std::string_view id = fresh_.query_id(query);
    const std::string_view text = fresh_.query_text(query);
    const uint32_t same = queries_.Find(id);
    if (same < old_.queries() && old_.query_text(same) == text) return same;
    if (given_queries_) {
      const auto [row, is_new] = rows_.try_emplace(NormalizeText(text), out_.queries());
      if (!is_new) return row->second;
      id = queries_.TakeNew(out_.queries());
    } else if (same != kAbsent) {
      return Conflict("query", id);
    } else {
      queries_.Take(id, out_.queries());
    }
    return out_.AddQuery(id, text);
  }

  template <typename DocumentIndex, typename QueryIndex>
  absl::Status AddJudgments(const Dataset& from, const DocumentIndex& document_of, const QueryIndex& query_of) {
    for (uint32_t split = 0; split < from.splits().size(); ++split) {
      for (uint32_t query = 0; query < from.queries(); ++query) {
        for (Judgment judgment : from.judgments(split, query)) {
          judgment.document = document_of(judgment.document);
          judgment.passage = out_.passage_of(judgment.document);
          ASSIGN_OR_RETURN(judgment.source, out_.AddSource(from.sources()[judgment.source]));
          out_.AddJudgment(from.splits()[split], query_of(query), judgment);
        }
      }
    }
    return absl::OkStatus();
  }

  const Dataset &old_, &fresh_;
  DatasetWriter& out_;
  // All names of the kind are those that an import gives to rows without ids.
  const bool given_documents_, given_queries_;
  Names documents_{'p'}, queries_{'q'};
  absl::flat_hash_map<std::string, uint32_t> rows_;        // queries of rows without ids, by normal form
  absl::flat_hash_map<uint32_t, uint32_t> document_with_;  // passage → the first document with it
};

using Statement = std::tuple<uint32_t, uint16_t, uint16_t>;  // document, source, sign
Statement StatementOf(const Judgment& judgment) { return {judgment.document, judgment.source, judgment.hard_negative}; }

uint64_t CountJudgments(const Dataset& dataset) {
  uint64_t judgments = 0;
  for (uint32_t split = 0; split < dataset.splits().size(); ++split) {
    for (uint32_t query = 0; query < dataset.queries(); ++query) judgments += dataset.judgments(split, query).size();
  }
  return judgments;
}

// Of one query in one split.
void CountRow(std::span<const Judgment> before, std::span<const Judgment> now, muster::v1::AddedRecords& added) {
  absl::flat_hash_map<Statement, float> grades;
  for (const Judgment& judgment : before) grades[StatementOf(judgment)] = judgment.grade;
  for (const Judgment& judgment : now) {
    const auto known = grades.find(StatementOf(judgment));
    if (known == grades.end()) {
      added.set_judgments(added.judgments() + 1);
    } else if (known->second < judgment.grade) {
      added.set_raised_grades(added.raised_grades() + 1);
    }
  }
}

}  // namespace

absl::Status AddDataset(const Dataset& old, const Dataset& fresh, DatasetWriter& out) {
  Adder adder(old, fresh, out);
  RETURN_IF_ERROR(adder.AddOld());
  return adder.AddFresh();
}

muster::v1::AddedRecords CountAdded(const Dataset& old, const Dataset& fresh, const Dataset& merged) {
  muster::v1::AddedRecords added;
  added.set_queries(merged.queries() - old.queries());
  added.set_documents(merged.documents() - old.documents());
  for (uint32_t split = 0; split < merged.splits().size(); ++split) {
    const auto found = std::find(old.splits().begin(), old.splits().end(), merged.splits()[split]);
    const bool is_new = found == old.splits().end();
    const auto old_split = static_cast<uint32_t>(found - old.splits().begin());
    for (uint32_t query = 0; query < merged.queries(); ++query) {
      const bool was_there = !is_new && query < old.queries();
      CountRow(was_there ? old.judgments(old_split, query) : std::span<const Judgment>(),
               merged.judgments(split, query), added);
    }
  }
  const uint64_t brought = CountJudgments(fresh);
  added.set_repeated_judgments(brought - std::min(brought, added.judgments()));
  return added;
}

}  // namespace muster
