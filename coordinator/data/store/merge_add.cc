#include "coordinator/data/store/merge_add.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/store/merged_names.h"

namespace muster {
namespace {

constexpr uint32_t kPassagesBetweenReports = 10000;

absl::Status AddConflict(std::string_view kind, std::string_view id) {
  return absl::InvalidArgumentError(absl::StrCat("add: ", ToAbsl(kind), " \"", ToAbsl(id),
                                                 "\" has another text in the dataset than in these files, so that one "
                                                 "name would mean two texts. Rename it, or import under another name."));
}

class Adder {
 public:
  Adder(const Dataset& old, const Dataset& fresh, DatasetWriter& out)
      : old_(old), fresh_(fresh), out_(out), documents_(out, AddConflict), queries_(out, AddConflict) {}

  absl::Status AddOld(const std::function<absl::Status(double)>& progress) {
    // Passages in their own order, which may differ from that of the documents.
    for (uint32_t passage = 0; passage < old_.passages(); ++passage) {
      if (progress && passage % kPassagesBetweenReports == 0) {
        RETURN_IF_ERROR(progress(static_cast<double>(passage) / old_.passages()));
      }
      RETURN_IF_ERROR(out_.AddPassage(old_.title(passage), old_.body(passage)).status());
    }
    for (uint32_t document = 0; document < old_.documents(); ++document) {
      RETURN_IF_ERROR(documents_.Keep(old_.document_id(document), old_.passage_of(document)));
    }
    for (uint32_t query = 0; query < old_.queries(); ++query) {
      RETURN_IF_ERROR(queries_.Keep(old_.query_id(query), IsGiven(old_.query_id(query), 'q', query), old_.query_text(query)));
    }
    for (const std::string& source : old_.sources()) RETURN_IF_ERROR(out_.AddSource(source).status());
    const auto same = [](uint32_t index) { return index; };
    return AddJudgments(old_, same, same);
  }

  absl::Status AddFresh() {
    std::vector<uint32_t> document_of(fresh_.documents()), query_of(fresh_.queries());
    for (const bool is_given : {false, true}) {  // records named by users come first
      for (uint32_t document = 0; document < fresh_.documents(); ++document) {
        if (IsGiven(fresh_.document_id(document), 'p', document) != is_given) continue;
        const uint32_t passage = fresh_.passage_of(document);
        ASSIGN_OR_RETURN(const uint32_t merged, out_.AddPassage(fresh_.title(passage), fresh_.body(passage)));
        ASSIGN_OR_RETURN(document_of[document], documents_.Merge(fresh_.document_id(document), is_given, merged));
      }
      for (uint32_t query = 0; query < fresh_.queries(); ++query) {
        if (IsGiven(fresh_.query_id(query), 'q', query) != is_given) continue;
        ASSIGN_OR_RETURN(query_of[query], queries_.Merge(fresh_.query_id(query), is_given, fresh_.query_text(query)));
      }
    }
    return AddJudgments(fresh_, [&](uint32_t document) { return document_of[document]; },
                        [&](uint32_t query) { return query_of[query]; });
  }

 private:
  template <typename DocumentIndex, typename QueryIndex>
  absl::Status AddJudgments(const Dataset& from, const DocumentIndex& document_of, const QueryIndex& query_of) {
    for (uint32_t split = 0; split < from.splits().size(); ++split) {
      for (uint32_t query = 0; query < from.queries(); ++query) {
        const std::span<const float> scores = from.scores(split, query);
        size_t next = 0;
        for (Judgment judgment : from.judgments(split, query)) {
          const float score = scores.empty() ? kNoScore : scores[next++];
          judgment.document = document_of(judgment.document);
          judgment.passage = out_.passage_of(judgment.document);
          ASSIGN_OR_RETURN(judgment.source, out_.AddSource(from.sources()[judgment.source]));
          out_.AddJudgment(from.splits()[split], query_of(query), judgment, score);
        }
      }
    }
    return absl::OkStatus();
  }

  const Dataset &old_, &fresh_;
  DatasetWriter& out_;
  MergedDocuments documents_;
  MergedQueries queries_;
};

using JudgedPair = std::tuple<uint32_t, uint16_t, uint16_t>;  // document, source, sign
JudgedPair StatementOf(const Judgment& judgment) {
  return {judgment.document, judgment.source, judgment.hard_negative};
}

uint64_t CountJudgments(const Dataset& dataset) {
  uint64_t judgments = 0;
  for (uint32_t split = 0; split < dataset.splits().size(); ++split) {
    for (uint32_t query = 0; query < dataset.queries(); ++query) judgments += dataset.judgments(split, query).size();
  }
  return judgments;
}

// The judgments of one query in one split.
void CountRow(std::span<const Judgment> before, std::span<const Judgment> now, muster::v1::AddedRecords& added) {
  absl::flat_hash_map<JudgedPair, float> grades;
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

absl::Status AddDataset(const Dataset& old, const Dataset& fresh, DatasetWriter& out,
                        const std::function<absl::Status(double)>& progress) {
  Adder adder(old, fresh, out);
  RETURN_IF_ERROR(adder.AddOld(progress));
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
