// ExportJsonl: rows {query, query_id, pos, pos_ids, pos_scores, neg, neg_ids, source}.
#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/view.h"
#include "coordinator/data/store/dataset_export.h"
#include "coordinator/data/store/export_writer.h"
#include "coordinator/data/store/judgment_table.h"

namespace muster {
namespace {

using OrderedJson = nlohmann::ordered_json;

struct LostInRows {
  uint64_t others = 0, negatives = 0, titles = 0;
  bool order = false;
};

// Rows name new documents in ascending order, so that an import gives them the same numbers.
class FirstNames {
 public:
  explicit FirstNames(std::vector<bool> is_named) : is_named_(std::move(is_named)) { Skip(); }
  bool May(uint32_t index) const { return index <= next_; }
  // The next index that a row may name, if it is a new one.
  std::optional<uint32_t> Name(uint32_t index) {
    if (index != next_) return std::nullopt;
    ++next_;
    Skip();
    return next_;
  }
  uint64_t never() const { return std::count(is_named_.begin(), is_named_.end(), false); }

 private:
  void Skip() {
    while (next_ < is_named_.size() && !is_named_[next_]) ++next_;
  }
  const std::vector<bool> is_named_;  // named by some row of some file
  uint32_t next_ = 0;
};

// Shared by all files of an export.
struct Shared {
  bool has_grades = false;  // a positive of another grade than 1
  bool has_ids = false;  // titles, which an import of rows would not give
  uint64_t silent_queries = 0;
  FirstNames documents, sources;
};

bool IsNegative(const Judgment& judgment) { return judgment.hard_negative == 1; }
bool IsCarried(const Judgment& judgment) { return IsPositive(judgment) || IsNegative(judgment); }

bool HasIds(const Dataset& dataset) {
  for (uint32_t query = 0; query < dataset.queries(); ++query) {
    if (ToAbsl(dataset.query_id(query)) != absl::StrCat("q", query + 1)) return true;
  }
  for (uint32_t document = 0; document < dataset.documents(); ++document) {
    if (ToAbsl(dataset.document_id(document)) != absl::StrCat("p", document + 1)) return true;
  }
  return false;
}

Shared SharedOf(const Dataset& dataset) {
  std::vector<bool> documents(dataset.documents()), sources(dataset.sources().size()), queries(dataset.queries());
  bool has_grades = false;
  for (uint32_t split = 0; split < dataset.splits().size(); ++split) {
    for (uint32_t query = 0; query < dataset.queries(); ++query) {
      for (const Judgment& judgment : dataset.judgments(split, query)) {
        has_grades |= IsPositive(judgment) && judgment.grade != 1;
        if (!IsCarried(judgment)) continue;
        documents[judgment.document] = sources[judgment.source] = queries[query] = true;
      }
    }
  }
  const auto silent = static_cast<uint64_t>(std::count(queries.begin(), queries.end(), false));
  return {has_grades, HasIds(dataset), silent, FirstNames(std::move(documents)), FirstNames(std::move(sources))};
}

// A query waits if its next judgment would name a document or source before its turn. Positives and hard negatives keep
// their order among themselves: in a dataset a query's positives precede its negatives, whatever order the original
// rows had.
class SplitRows {
 public:
  SplitRows(const Dataset& dataset, uint32_t split, Shared& shared, ExportWriter& out, LostInRows& lost)
      : dataset_(dataset), split_(split), shared_(shared), out_(out), lost_(lost), cursors_(dataset.queries()) {}

  absl::Status Write() {
    for (uint32_t query = 0; query < dataset_.queries(); ++query) {
      const std::span<const Judgment> judgments = dataset_.judgments(split_, query);
      lost_.others += std::count_if(judgments.begin(), judgments.end(),
                                    [](const Judgment& judgment) { return !IsCarried(judgment); });
      RETURN_IF_ERROR(Advance(query));
      RETURN_IF_ERROR(AdvanceReady());
    }
    // If no order reproduces all names, writes the rest query by query.
    is_ordered_ = false;
    for (uint32_t query = 0; query < dataset_.queries(); ++query) {
      lost_.order |= NextOf(query, false) != nullptr || NextOf(query, true) != nullptr;
      RETURN_IF_ERROR(Advance(query));
    }
    return absl::OkStatus();
  }

 private:
  // The query's next judgment that is a positive, and its next one that is a hard negative.
  struct Cursor {
    size_t positive = 0, negative = 0;
  };

  absl::Status AdvanceReady() {
    while (!ready_.empty()) {
      const uint32_t query = ready_.front();
      ready_.pop_front();
      RETURN_IF_ERROR(Advance(query));
    }
    return absl::OkStatus();
  }

  // Null: there is none.
  const Judgment* NextOf(uint32_t query, bool negative) {
    const std::span<const Judgment> judgments = dataset_.judgments(split_, query);
    size_t& cursor = negative ? cursors_[query].negative : cursors_[query].positive;
    while (cursor < judgments.size() && !(negative ? IsNegative(judgments[cursor]) : IsPositive(judgments[cursor]))) ++cursor;
    return cursor < judgments.size() ? &judgments[cursor] : nullptr;
  }

  bool MayName(const Judgment& judgment) const {
    return !is_ordered_ || (shared_.documents.May(judgment.document) && shared_.sources.May(judgment.source));
  }

  // A positive of this source that an earlier row contained; null: none.
  const Judgment* WrittenPositive(uint32_t query, uint16_t source) const {
    const auto before = dataset_.judgments(split_, query).subspan(0, cursors_[query].positive);
    const auto found = std::find_if(before.begin(), before.end(), [&](const Judgment& judgment) {
      return IsPositive(judgment) && judgment.source == source;
    });
    return found == before.end() ? nullptr : &*found;
  }

  // Writes rows of the query until it has none left, or must wait.
  absl::Status Advance(uint32_t query) {
    while (true) {
      const Judgment* const positive = NextOf(query, false);
      const Judgment* const negative = NextOf(query, true);
      if (positive != nullptr && MayName(*positive)) {
        RETURN_IF_ERROR(WriteRow(query, positive->source));
      } else if (negative != nullptr && MayName(*negative) &&
                 (positive == nullptr || WrittenPositive(query, negative->source) != nullptr)) {
        RETURN_IF_ERROR(WriteRow(query, negative->source));
      } else {
        Wait(query, positive);
        Wait(query, negative);
        return absl::OkStatus();
      }
    }
  }

  void Wait(uint32_t query, const Judgment* judgment) {
    if (judgment == nullptr) return;
    if (!shared_.documents.May(judgment->document)) {
      waiting_for_document_[judgment->document].push_back(query);
    } else if (!shared_.sources.May(judgment->source)) {
      waiting_for_source_[judgment->source].push_back(query);
    }
  }

  using Waiting = absl::flat_hash_map<uint32_t, std::vector<uint32_t>>;  // index → queries that wait for it
  void Name(FirstNames& names, uint32_t index, Waiting& waiting) {
    const std::optional<uint32_t> next = names.Name(index);
    const auto found = next.has_value() ? waiting.find(*next) : waiting.end();
    if (found == waiting.end()) return;
    ready_.insert(ready_.end(), found->second.begin(), found->second.end());
    waiting.erase(found);
  }

  // The next row: positives, then negatives, of one source.
  absl::Status WriteRow(uint32_t query, uint16_t source) {
    const Judgment* const repeated = WrittenPositive(query, source);
    Name(shared_.sources, source, waiting_for_source_);
    std::vector<Judgment> positives, negatives;
    const auto take = [&](std::vector<Judgment>& into, bool negative) {
      for (const Judgment* next = NextOf(query, negative);
           next != nullptr && next->source == source && MayName(*next); next = NextOf(query, negative)) {
        into.push_back(*next);
        ++(negative ? cursors_[query].negative : cursors_[query].positive);
        Name(shared_.documents, next->document, waiting_for_document_);
      }
    };
    take(positives, false);
    take(negatives, true);
    if (positives.empty()) {  // a row needs a positive; a repeated judgment counts once
      if (repeated == nullptr) {
        lost_.negatives += negatives.size();
        return absl::OkStatus();
      }
      positives.push_back(*repeated);
    }
    return out_.Json(RowOf(query, source, positives, negatives));
  }

  OrderedJson RowOf(uint32_t query, uint16_t source, const std::vector<Judgment>& positives,
                    const std::vector<Judgment>& negatives) {
    OrderedJson row = {{"query", dataset_.query_text(query)}, {"query_id", dataset_.query_id(query)}};
    AddTexts(positives, "pos", "pos_ids", row);
    if (shared_.has_grades) {
      OrderedJson& scores = row["pos_scores"] = OrderedJson::array();
      for (const Judgment& judgment : positives) scores.push_back(OrderedJson::parse(GradeText(judgment.grade)));
    }
    AddTexts(negatives, "neg", "neg_ids", row);
    row["source"] = dataset_.sources()[source];
    return row;
  }

  void AddTexts(const std::vector<Judgment>& judgments, const char* texts_key, const char* ids_key, OrderedJson& row) {
    OrderedJson texts = OrderedJson::array(), ids = OrderedJson::array();
    for (const Judgment& judgment : judgments) {
      const std::string_view title = dataset_.title(judgment.passage);
      lost_.titles += !title.empty();
      texts.push_back(PassageText(title, dataset_.body(judgment.passage)));
      ids.push_back(dataset_.document_id(judgment.document));
    }
    row[texts_key] = std::move(texts);
    row[ids_key] = std::move(ids);
  }

  const Dataset& dataset_;
  const uint32_t split_;
  Shared& shared_;
  ExportWriter& out_;
  LostInRows& lost_;
  bool is_ordered_ = true;
  std::vector<Cursor> cursors_;  // by query
  Waiting waiting_for_document_, waiting_for_source_;
  std::deque<uint32_t> ready_;
};

}  // namespace

absl::Status ExportJsonl(const Dataset& dataset, const ExportSink& sink, std::vector<std::string>& notes) {
  ExportWriter out(sink);
  Shared shared = SharedOf(dataset);
  LostInRows lost;
  for (uint32_t split = 0; split < dataset.splits().size(); ++split) {
    RETURN_IF_ERROR(out.Begin(absl::StrCat(dataset.splits()[split], ".jsonl")));
    RETURN_IF_ERROR(SplitRows(dataset, split, shared, out, lost).Write());
  }
  RETURN_IF_ERROR(out.Flush());
  const auto note = [&](uint64_t count, absl::string_view text) {
    if (count > 0) notes.push_back(absl::StrCat(count, text));
  };
  note(lost.titles, " texts have their title before them: rows of this format have no titles");
  note(shared.documents.never(), " documents are left out: no row names them. --format beir carries the whole corpus");
  note(shared.silent_queries, " queries are left out: they have no row. --format beir carries them");
  note(lost.others, " judgments that are neither positive nor a hard negative are left out: --format beir carries grade 0");
  note(CountScores(dataset), " scores of a teacher are left out: no format carries them");
  note(lost.negatives, " hard negatives are left out: their query has no positive of their source before them");
  if (shared.has_ids || lost.order) {
    notes.push_back("ids are in query_id, pos_ids and neg_ids; an import of these rows numbers queries and documents again");
  }
  return absl::OkStatus();
}

}  // namespace muster
