#include "coordinator/data/import/rows.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/digest.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/store/normalize.h"

namespace muster {
namespace {

constexpr uint32_t kAbsent = std::numeric_limits<uint32_t>::max();
constexpr size_t kShownPaths = 3;
constexpr uint64_t kMaxWaitingBytes = 256 << 20;

Digest128 DigestOfQueryText(std::string_view text) { return HalfOf(Sha256Bytes(NormalizeText(text))); }

bool OnlyHasNegatives(const CanonicalRow& row) {
  return std::all_of(row.passages.begin(), row.passages.end(),
                     [](const CanonicalPassage& passage) { return passage.relation != Relation::kGraded; });
}

absl::Status OtherText(absl::string_view kind, const std::string& id) {
  return absl::InvalidArgumentError(absl::StrCat("expected the text that ", kind, " \"", id,
                                                 "\" has in an earlier record, found another: each id means one text"));
}

uint64_t BytesOf(const CanonicalRow& row) {
  uint64_t bytes = sizeof(row) + row.query.size() + row.query_id.size();
  for (const CanonicalPassage& passage : row.passages) bytes += sizeof(passage) + passage.text.size() + passage.title.size();
  return bytes;
}

std::string RowCount(uint64_t count) { return absl::StrCat(count, count == 1 ? " row" : " rows"); }

}  // namespace

void Rows::BeginFile(const std::string& path, const std::string& shown, const std::string& split, bool by_name) {
  path_ = path;
  split_ = split;
  ++file_;
  references_.BeginFile(path, shown, split, file_);
  named_of_file_.push_back(nullptr);
  if (!by_name) return;
  NamedFiles& named = named_files_[split];
  named_of_file_.back() = &named;
  ++named.files;
  if (named.paths.size() < kShownPaths) named.paths.push_back(shown);
}

absl::Status Rows::Document(const std::string& id, std::string_view title, std::string_view text) {
  const auto [document, is_new] = document_ids_.Insert(DigestOfId(id));
  if (!is_new) {
    ++repeated_;
    return writer_.FindPassage(title, text) == writer_.passage_of(document) ? absl::OkStatus() : OtherText("document", id);
  }
  ASSIGN_OR_RETURN(const uint32_t passage, writer_.AddPassage(title, text));
  return writer_.AddDocument(id, passage).status();
}

absl::Status Rows::Query(const std::string& id, std::string_view text) {
  const auto [query, is_new] = query_ids_.Insert(DigestOfId(id));
  if (!is_new) {
    ++repeated_;
    return writer_.query_text_digest(query) == DigestOfQueryText(text) ? absl::OkStatus() : OtherText("query", id);
  }
  return writer_.AddQuery(id, text).status();
}

std::optional<uint32_t> Rows::FindQuery(const CanonicalRow& row) const {
  if (!row.query_id.empty()) return query_ids_.Find(DigestOfId(row.query_id));
  const auto found = query_of_text_.find(DigestOfQueryText(row.query));
  return found == query_of_text_.end() ? std::nullopt : std::optional<uint32_t>(found->second);
}

absl::StatusOr<uint32_t> Rows::QueryOf(const CanonicalRow& row) {
  if (!row.query_id.empty()) {
    const auto [number, is_new] = query_ids_.Insert(DigestOfId(row.query_id));
    if (is_new) {
      RETURN_IF_ERROR(writer_.AddQuery(row.query_id, row.query).status());
    } else if (writer_.query_text_digest(number) != DigestOfQueryText(row.query)) {
      return OtherText("query", row.query_id);
    }
    return number;
  }
  const auto [found, is_new] = query_of_text_.try_emplace(DigestOfQueryText(row.query), writer_.queries());
  if (is_new) {
    const std::string id = absl::StrCat("q", found->second + 1);
    if (!query_ids_.Insert(DigestOfId(id)).second) {
      query_of_text_.erase(found);
      return absl::InvalidArgumentError(absl::StrCat("the row needs a query_id: others have one, and \"", id, "\" is taken"));
    }
    RETURN_IF_ERROR(writer_.AddQuery(id, row.query).status());
  }
  return found->second;
}

absl::StatusOr<uint32_t> Rows::DocumentOf(const CanonicalPassage& passage) {
  if (!passage.id.empty()) {
    const auto [document, is_new] = document_ids_.Insert(DigestOfId(passage.id));
    if (is_new) {
      ASSIGN_OR_RETURN(const uint32_t number, writer_.AddPassage(passage.title, passage.text));
      RETURN_IF_ERROR(writer_.AddDocument(passage.id, number).status());
    } else if (writer_.FindPassage(passage.title, passage.text) != writer_.passage_of(document)) {
      return OtherText("document", passage.id);
    }
    return document;
  }
  ASSIGN_OR_RETURN(const uint32_t number, writer_.AddPassage(passage.title, passage.text));
  document_of_passage_.resize(writer_.passages(), kAbsent);
  uint32_t& document = document_of_passage_[number];
  if (document != kAbsent) return document;
  const std::string id = absl::StrCat("p", document_ids_.size() + 1);
  if (!document_ids_.Insert(DigestOfId(id)).second) {
    return absl::InvalidArgumentError(absl::StrCat("the passage needs an id: others have one, and \"", id, "\" is taken"));
  }
  ASSIGN_OR_RETURN(document, writer_.AddDocument(id, number));
  return document;
}

absl::Status Rows::Row(const CanonicalRow& row) {
  const bool has_texts = row.has_query && std::all_of(row.passages.begin(), row.passages.end(),
                                                       [](const CanonicalPassage& passage) { return passage.has_text; });
  // The dataset that rows are added to may contain the positives.
  if (base_ != nullptr || !has_texts || !OnlyHasNegatives(row) || FindQuery(row).has_value()) return Add(row);
  waiting_bytes_ += BytesOf(row);
  if (waiting_bytes_ > kMaxWaitingBytes) {
    return absl::ResourceExhaustedError(absl::StrCat(place_.Text(), ": more than ", kMaxWaitingBytes >> 20,
                                                     " MiB of rows without any positive wait for one. Leave them out, "
                                                     "or move the rows with positives to the front."));
  }
  waiting_.push_back({row, split_, place_.Text()});
  return absl::OkStatus();
}

absl::Status Rows::Add(const CanonicalRow& row) {
  ASSIGN_OR_RETURN(const uint16_t source, writer_.AddSource(row.source.empty() ? source_ : row.source));
  Reference query = {.number = std::nullopt, .id = row.query_id};
  if (row.has_query) {
    ASSIGN_OR_RETURN(query.number, QueryOf(row));
  }
  for (const CanonicalPassage& passage : row.passages) {
    Reference document = {.number = std::nullopt, .id = passage.id};
    if (passage.has_text) {
      ASSIGN_OR_RETURN(document.number, DocumentOf(passage));
    }
    if (query.number.has_value() && document.number.has_value()) {
      AddJudgment(split_, *query.number, *document.number, passage, source);
    } else {
      references_.Add(place_, query, document, passage, source);
    }
  }
  if (query.number.has_value()) CountQuery(file_, *query.number);
  return absl::OkStatus();
}

void Rows::CountQuery(uint32_t file, uint32_t query) {
  if (file == 0 || named_of_file_[file - 1] == nullptr) return;
  last_file_.resize(writer_.queries());
  if (last_file_[query] != file) ++named_of_file_[file - 1]->queries;
  last_file_[query] = file;
}

void Rows::AddJudgment(const std::string& split, uint32_t query, uint32_t document, const RecordedJudgment& recorded,
                       uint16_t source) {
  Judgment judgment = {.document = document, .passage = writer_.passage_of(document), .source = source};
  switch (recorded.relation) {
    case Relation::kGraded:
      judgment.grade = recorded.grade;
      negative_grades_ += recorded.grade < 0;
      break;
    case Relation::kNegative: judgment.hard_negative = kHardNegative; break;
    case Relation::kIgnored: judgment.hard_negative = kIgnored; break;
  }
  writer_.AddJudgment(split, query, judgment, recorded.score);
}

absl::Status Rows::AddWaiting(muster::v1::ImportReport& report, std::vector<std::string>& notes) {
  absl::flat_hash_set<std::string> without;
  std::string first;
  for (const WaitingRow& waiting : waiting_) {
    split_ = waiting.split;
    file_ = 0;  // the row was counted already, or its file's name did not decide the split
    if (FindQuery(waiting.row).has_value()) {
      RETURN_IF_ERROR(Add(waiting.row));
      continue;
    }
    if (first.empty()) first = waiting.place;
    without.insert(waiting.row.query_id.empty() ? NormalizeText(waiting.row.query) : waiting.row.query_id);
  }
  if (without.empty()) return absl::OkStatus();
  report.set_queries_without_positive(without.size());
  notes.push_back(absl::StrCat(without.size(), without.size() == 1 ? " query has" : " queries have",
                               " no positive in any row and ", without.size() == 1 ? "is" : "are",
                               " left out, with the negatives (the first: ", first, ")"));
  return absl::OkStatus();
}

// Hard negatives of a query that has nothing else in the split: neither training nor evaluation can use them.
void Rows::DropWithoutPositive(muster::v1::ImportReport& report, std::vector<std::string>& notes) {
  absl::flat_hash_set<uint32_t> dropped;
  for (auto& [split, edges] : writer_.edges()) {
    std::vector<bool> has_grade(writer_.queries());
    for (const JudgmentEdge& edge : edges) has_grade[edge.query] = has_grade[edge.query] || edge.judgment.hard_negative == 0;
    std::erase_if(edges, [&](const JudgmentEdge& edge) {
      if (!has_grade[edge.query]) dropped.insert(edge.query);
      return !has_grade[edge.query];
    });
  }
  if (dropped.empty()) return;
  report.set_queries_without_positive(report.queries_without_positive() + dropped.size());
  notes.push_back(absl::StrCat(dropped.size(), dropped.size() == 1 ? " query has" : " queries have",
                               " negatives and no positive in a split: the negatives are left out there"));
}

absl::Status Rows::Finish(std::vector<std::string>& notes, muster::v1::ImportReport& report) {
  RETURN_IF_ERROR(AddWaiting(report, notes));
  if (base_ != nullptr) RETURN_IF_ERROR(references_.CopyFrom(*base_, query_ids_, document_ids_, writer_));
  RETURN_IF_ERROR(references_.Resolve(
      query_ids_, document_ids_,
      [this](const std::string& split, uint32_t query, uint32_t document, const RecordedJudgment& recorded, uint16_t source,
             uint32_t file) {
        AddJudgment(split, query, document, recorded, source);
        CountQuery(file, query);
      },
      notes, report));
  if (base_ == nullptr) DropWithoutPositive(report, notes);  // when adding, the dataset may have the positives
  if (left_out_.contains(LeftOut::kUngradedScores)) {
    // One row whose scores are not grades shows that none of the file's scores are.
    for (auto& [split, edges] : writer_.edges()) {
      for (JudgmentEdge& edge : edges) edge.judgment.grade = 1;
    }
  } else if (negative_grades_ > 0) {
    notes.push_back(absl::StrCat(negative_grades_, negative_grades_ == 1 ? " judgment has" : " judgments have",
                                 " a negative grade: judged and not relevant, as with grade 0"));
  }
  AddNotes(notes);
  return absl::OkStatus();
}

void Rows::AddNotes(std::vector<std::string>& notes) {
  if (repeated_ > 0) {
    notes.push_back(absl::StrCat(repeated_, repeated_ == 1 ? " document or query came" : " documents and queries came",
                                 " again with the same id: counted once"));
  }
  for (const auto& [split, named] : named_files_) {
    notes.push_back(absl::StrCat(absl::StrJoin(named.paths, ", "),
                                 named.files > kShownPaths ? absl::StrCat(", … (", named.files, " files)") : "",
                                 " → split ", split, " (", named.queries, named.queries == 1 ? " query)" : " queries)"));
  }
  for (const auto& [field, rows] : left_out_) {
    switch (field) {
      case LeftOut::kUngradedScores:
        notes.push_back(absl::StrCat("pos_scores: not used as grades, since ", RowCount(rows),
                                     rows == 1 ? " holds" : " hold", " scores that are not above 0; every positive has grade 1"));
        break;
      case LeftOut::kNegativeScores:
        notes.push_back(absl::StrCat("neg_scores: left out (", RowCount(rows), "), since the positives have no scores"));
        break;
      case LeftOut::kTeacherScores:
        notes.push_back(absl::StrCat("pos_scores, neg_scores: a teacher's, which loss.distill uses (", RowCount(rows), ")"));
        break;
      case LeftOut::kPrompt:
        notes.push_back(absl::StrCat("prompt: left out (", RowCount(rows), "); a job names its own in model.prompts"));
        break;
      case LeftOut::kAnswers: notes.push_back(absl::StrCat("answers: left out (", RowCount(rows), ")")); break;
      case LeftOut::kScores:
        notes.push_back(absl::StrCat("scores: a teacher's, which loss.distill uses (", RowCount(rows),
                                     "); the first document is the positive, and those "
                                     "that score as high or higher are neither positive nor negative"));
        break;
      case LeftOut::kMargin:
        notes.push_back(absl::StrCat("label, score: left out (", RowCount(rows), "), since it is of more than one pair of texts"));
        break;
    }
  }
}

}  // namespace muster
