#include "coordinator/data/import/report_notes.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "coordinator/data/store/identical_ids.h"

namespace muster {

void AddNotesOnRepairs(muster::v1::ImportReport& report) {
  if (const uint64_t count = report.conflicting_judgments(); count > 0) {
    report.add_notes(absl::StrCat(count, count == 1 ? " judgment gives" : " judgments give",
                                  " a query and document another grade than one before: the highest counts"));
  }
  if (const uint64_t count = report.replaced_characters(); count > 0) {
    report.add_notes(absl::StrCat(count, count == 1 ? " half of a surrogate pair was" : " halves of surrogate pairs were",
                                  " read as U+FFFD: a character was cut in two before"));
  }
}

void AddNoteOnHardNegatives(const DatasetFacts& facts, muster::v1::ImportReport& report) {
  if (facts.own_positives == 0 && facts.other_positives == 0) return;
  report.add_notes(absl::StrCat(
      "of ", facts.hard_negatives, " hard negatives, ", facts.own_positives,
      " are a positive of their own query: they are left out, and the loss masks a query's positives among its "
      "negatives; ",
      facts.other_positives,
      " are a positive of another query or in another split: they are kept, as negatives of only their own query"));
}

void AddNotesOnSharedQueries(const Dataset& dataset, muster::v1::ImportReport& report) {
  constexpr size_t kShownPairs = 5;
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> shared;  // two splits → queries
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    std::vector<uint32_t> splits;
    for (uint32_t split = 0; split < dataset.splits().size(); ++split) {
      if (dataset.judgments(split, query).empty()) continue;
      for (const uint32_t other : splits) ++shared[{other, split}];
      splits.push_back(split);
    }
  }
  size_t shown = 0;
  for (const auto& [pair, queries] : shared) {
    if (++shown > kShownPairs) break;
    report.add_notes(absl::StrCat(queries, queries == 1 ? " query is" : " queries are", " in the splits ",
                                  dataset.splits()[pair.first], " and ", dataset.splits()[pair.second]));
  }
}

void AddIdenticalIds(const Dataset& dataset, muster::v1::ImportReport& report) {
  absl::flat_hash_set<uint32_t> with_id, with_text;
  for (const IdenticalId& pair : IdenticalIds(dataset)) {
    with_id.insert(pair.query);
    if (IsSameText(dataset, pair)) with_text.insert(pair.query);
  }
  report.set_queries_with_document_id(with_id.size());
  report.set_queries_that_are_documents(with_text.size());
  if (with_id.empty()) return;
  std::string note = absl::StrCat(with_id.size(), with_id.size() == 1 ? " query has" : " queries have",
                                  " the id of a document, and ", with_text.size(), " of them its text too");
  if (!with_text.empty()) {
    absl::StrAppend(&note,
                    ": they find themselves first. To leave a query's own document out of its ranking, set "
                    "evaluate.ignore_identical_ids and report.ignore_identical_ids to true in the job");
  } else {
    absl::StrAppend(&note, ": probably numbers that only look alike. Leave ignore_identical_ids off in the job");
  }
  report.add_notes(note);
}

}  // namespace muster
