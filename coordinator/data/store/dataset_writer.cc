#include "coordinator/data/store/dataset_writer.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status.h"
#include "coordinator/data/store/dataset_format.h"

namespace muster {
namespace {

constexpr size_t kMaxSources = 1000;

absl::Status CheckRoom(uint64_t count, absl::string_view what) {
  if (count < std::numeric_limits<uint32_t>::max()) return absl::OkStatus();
  return absl::OutOfRangeError(absl::StrCat("a dataset holds at most 4294967295 ", what, ". Import it in parts."));
}

uint64_t DigestOfQuery(std::string_view id, std::string_view text) {
  Sha256 sha;
  sha.Update(id);
  sha.Update(std::string_view("\0", 1));
  sha.Update(text);
  const auto digest = sha.Finish();
  uint64_t first = 0;
  std::memcpy(&first, digest.data(), sizeof(first));
  return first;
}

// Counts, over all splits, the positives of each query and the hard negatives that are a positive of some query.
class JudgmentCounts {
 public:
  JudgmentCounts(uint32_t queries, uint32_t passages) : positives_(queries), is_positive_(passages), negatives_(passages) {}

  muster::v1::SplitInfo Add(const std::string& name, const JudgmentTable& table) {
    muster::v1::SplitInfo info;
    info.set_name(name);
    contradicted_ += table.contradicted;
    for (size_t query = 0; query + 1 < table.offsets.size(); ++query) {
      info.set_queries(info.queries() + (table.offsets[query] != table.offsets[query + 1]));
      for (uint64_t i = table.offsets[query]; i < table.offsets[query + 1]; ++i) {
        const Judgment& judgment = table.judgments[i];
        if (IsPositive(judgment)) {
          ++positives_[query];
          is_positive_[judgment.passage] = true;
          info.set_positives(info.positives() + 1);
        } else {
          negatives_[judgment.passage] += judgment.hard_negative == kHardNegative;
          info.set_negatives(info.negatives() + (judgment.hard_negative != kIgnored));
        }
      }
    }
    return info;
  }

  void Report(DatasetFacts& facts) const {
    for (const uint32_t positives : positives_) ++facts.positives_per_query[positives];
    facts.own_positives = facts.hard_negatives = contradicted_;
    for (size_t passage = 0; passage < negatives_.size(); ++passage) {
      facts.hard_negatives += negatives_[passage];
      if (is_positive_[passage]) facts.other_positives += negatives_[passage];
    }
  }

 private:
  std::vector<uint32_t> positives_;  // by query
  std::vector<bool> is_positive_;    // by passage
  std::vector<uint32_t> negatives_;  // by passage: hard negatives
  uint64_t contradicted_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<DatasetWriter>> DatasetWriter::Create(const std::filesystem::path& folder) {
  std::unique_ptr<DatasetWriter> writer(new DatasetWriter());
  writer->folder_ = folder;
  ASSIGN_OR_RETURN(writer->passage_text_, TableFile::Create(folder / kPassageText));
  ASSIGN_OR_RETURN(writer->document_ids_, TableFile::Create(folder / kDocumentIds));
  ASSIGN_OR_RETURN(writer->query_text_, TableFile::Create(folder / kQueryText));
  return writer;
}

absl::StatusOr<uint32_t> DatasetWriter::AddPassage(std::string_view title, std::string_view body) {
  static const PassageDigest kEmpty = DigestOfPassage("", "");
  const PassageDigest digest = DigestOfPassage(title, body);
  RETURN_IF_ERROR(CheckRoom(passages(), "passages"));
  const auto [number, is_new] = passage_digests_.Insert(HalfOf(digest));
  if (!is_new) return number;
  for (const std::string_view part : {title, body}) {
    passage_offsets_.push_back(passage_text_->size());
    passage_text_->Append(part);
  }
  empty_passage_.push_back(digest == kEmpty);
  return number;
}

std::optional<uint32_t> DatasetWriter::FindPassage(std::string_view title, std::string_view body) const {
  return passage_digests_.Find(HalfOf(DigestOfPassage(title, body)));
}

absl::StatusOr<uint32_t> DatasetWriter::AddDocument(std::string_view id, uint32_t passage) {
  RETURN_IF_ERROR(CheckRoom(document_passages_.size(), "documents"));
  document_offsets_.push_back(document_ids_->size());
  document_ids_->Append(id);
  document_passages_.push_back(passage);
  return static_cast<uint32_t>(document_passages_.size() - 1);
}

absl::StatusOr<uint32_t> DatasetWriter::AddQuery(std::string_view id, std::string_view text) {
  RETURN_IF_ERROR(CheckRoom(query_digests_.size(), "queries"));
  for (const std::string_view part : {id, text}) {
    query_offsets_.push_back(query_text_->size());
    query_text_->Append(part);
  }
  query_digests_.push_back(DigestOfQuery(id, text));
  const std::string normal = NormalizeText(text);
  query_text_digests_.push_back(HalfOf(Sha256Bytes(normal)));
  empty_queries_ += normal.empty();
  return static_cast<uint32_t>(query_digests_.size() - 1);
}

absl::StatusOr<uint16_t> DatasetWriter::AddSource(std::string_view name) {
  const auto found = std::find(sources_.begin(), sources_.end(), name);
  if (found != sources_.end()) return static_cast<uint16_t>(found - sources_.begin());
  if (sources_.size() == kMaxSources) {
    return absl::OutOfRangeError(absl::StrCat("a dataset holds at most ", kMaxSources, " sources of judgments"));
  }
  sources_.emplace_back(name);
  return static_cast<uint16_t>(sources_.size() - 1);
}

void DatasetWriter::AddJudgment(const std::string& split, uint32_t query, const Judgment& judgment, float score) {
  edges_[split].push_back({query, judgment, score});
}

absl::Status DatasetWriter::CloseText() {
  passage_offsets_.push_back(passage_text_->size());
  document_offsets_.push_back(document_ids_->size());
  query_offsets_.push_back(query_text_->size());
  ASSIGN_OR_RETURN(files_[std::string(kPassageText)], passage_text_->Close());
  ASSIGN_OR_RETURN(files_[std::string(kDocumentIds)], document_ids_->Close());
  ASSIGN_OR_RETURN(files_[std::string(kQueryText)], query_text_->Close());
  return absl::OkStatus();
}

absl::Status DatasetWriter::WriteTables() {
  const auto write = [&]<typename T>(std::string_view name, const std::vector<T>& values) -> absl::Status {
    ASSIGN_OR_RETURN(files_[std::string(name)], WriteTable<T>(folder_ / name, values));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(write(kPassageOffsets, passage_offsets_));
  RETURN_IF_ERROR(write(kDocumentOffsets, document_offsets_));
  RETURN_IF_ERROR(write(kDocumentPassages, document_passages_));
  RETURN_IF_ERROR(write(kQueryOffsets, query_offsets_));
  RETURN_IF_ERROR(write(kQueryWeights, std::vector<float>(queries(), 1.0f)));
  std::vector<uint64_t> digests(passages());
  for (uint32_t passage = 0; passage < passages(); ++passage) {
    std::memcpy(&digests[passage], passage_digests_[passage].data(), sizeof(uint64_t));
  }
  RETURN_IF_ERROR(write(kPassageDigests, digests));
  return write(kQueryDigests, query_digests_);
}

// The content of a split without ids: for each query its text, and for each judgment its text, grade and source. A
// teacher's scores are left out: plans that use them have them in their own digests.
void DatasetWriter::AddContent(const std::string& split, const JudgmentTable& table) {
  content_.Update(absl::StrCat("split ", split, "\n"));
  for (size_t query = 0; query + 1 < table.offsets.size(); ++query) {
    if (table.offsets[query] == table.offsets[query + 1]) continue;
    const auto add = [this](const auto& value) {
      content_.Update({reinterpret_cast<const char*>(&value), sizeof(value)});
    };
    add(query_text_digests_[query]);
    add(table.offsets[query + 1] - table.offsets[query]);
    for (uint64_t i = table.offsets[query]; i < table.offsets[query + 1]; ++i) {
      const Judgment& judgment = table.judgments[i];
      add(passage_digests_[judgment.passage]);
      add(judgment.grade);
      add(judgment.hard_negative);
      content_.Update(sources_[judgment.source]);
      content_.Update(std::string_view("\0", 1));
      has_ignored_ |= judgment.hard_negative == kIgnored;
    }
  }
}

absl::Status DatasetWriter::WriteJudgments(DatasetFacts& facts) {
  JudgmentCounts counts(queries(), passages());
  size_t split = 0;
  for (auto& [name, edges] : edges_) {
    const JudgmentTable table = TableFromEdges(std::move(edges), queries());
    ASSIGN_OR_RETURN(files_[JudgmentOffsets(split)],
                     WriteTable<uint64_t>(folder_ / JudgmentOffsets(split), table.offsets));
    ASSIGN_OR_RETURN(files_[JudgmentEdges(split)],
                     WriteTable<Judgment>(folder_ / JudgmentEdges(split), table.judgments));
    if (!table.scores.empty()) {
      ASSIGN_OR_RETURN(files_[JudgmentScores(split)], WriteTable<float>(folder_ / JudgmentScores(split), table.scores));
    }
    *facts.dataset.add_splits() = counts.Add(name, table);
    facts.conflicting += table.conflicting;
    AddContent(name, table);
    ++split;
  }
  counts.Report(facts);
  return absl::OkStatus();
}

absl::StatusOr<std::string> DatasetWriter::WriteManifest() {
  nlohmann::json manifest = {{"format", has_ignored_ ? kDatasetFormatWithIgnored : kDatasetFormat},
                             {"content", content_.FinishHex()},   {"passages", passages()},
                             {"documents", document_passages_.size()}, {"queries", queries()},
                             {"sources", sources_},        {"splits", nlohmann::json::array()},
                             {"files", nlohmann::json::object()}};
  for (const auto& [name, edges] : edges_) manifest["splits"].push_back(name);
  for (const auto& [name, facts] : files_) {
    manifest["files"][name] = {{"bytes", facts.bytes}, {"sha256", facts.sha256}};
  }
  const std::string digest = Sha256Hex(manifest.dump());
  manifest["digest"] = digest;
  RETURN_IF_ERROR(WriteFileAtomically(folder_ / kManifestFile, manifest.dump(1) + "\n"));
  RETURN_IF_ERROR(FlushToDisk(folder_));
  return digest;
}

absl::StatusOr<DatasetFacts> DatasetWriter::Finish(bool needs_positive) {
  RETURN_IF_ERROR(CloseText());
  DatasetFacts facts;
  RETURN_IF_ERROR(WriteTables());
  RETURN_IF_ERROR(WriteJudgments(facts));
  const auto& splits = facts.dataset.splits();
  if (needs_positive && std::none_of(splits.begin(), splits.end(), [](const auto& split) { return split.positives() > 0; })) {
    return absl::InvalidArgumentError(absl::StrCat("the dataset is empty: no query of ", queries(),
                                                   " has a positive in any split. Check the judgments."));
  }
  std::vector<uint32_t> documents_of(passages());
  for (const uint32_t passage : document_passages_) ++documents_of[passage];
  uint64_t duplicates = 0;
  facts.empty_texts = empty_queries_;
  for (const uint32_t passage : document_passages_) {
    duplicates += documents_of[passage] > 1;
    facts.empty_texts += empty_passage_[passage];
  }
  facts.duplicate_share = document_passages_.empty() ? 0 : static_cast<double>(duplicates) / document_passages_.size();
  ASSIGN_OR_RETURN(const std::string digest, WriteManifest());
  facts.dataset.set_digest(digest);
  facts.dataset.set_queries(queries());
  facts.dataset.set_passages(document_passages_.size());
  facts.dataset.set_unique_passages(passages());
  for (const std::string& source : sources_) facts.dataset.add_sources(source);
  uint64_t bytes = 0;
  for (const auto& [name, file] : files_) bytes += file.bytes;
  facts.dataset.set_bytes(bytes);
  return facts;
}

}  // namespace muster
