#include "coordinator/data/import/importer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/files.h"
#include "common/status.h"
#include "coordinator/data/import/json_record.h"

namespace muster {
namespace {

constexpr std::string_view kBeir = "beir";
constexpr std::string_view kFlagEmbedding = "flagembedding";
constexpr absl::string_view kSchemas =
    "beir (corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv), flagembedding (query, pos, neg)";
constexpr size_t kMaxFiles = 100000;
constexpr size_t kMaxSourceName = 63;

std::string WithoutCompressionSuffix(absl::string_view path) {
  for (const absl::string_view suffix : {".gz", ".zst"}) {
    if (absl::ConsumeSuffix(&path, suffix)) break;
  }
  return std::string(path);
}

absl::Status CheckHeader(const muster::v1::ImportHeader& header) {
  constexpr absl::string_view kRule = "use 1 to 63 characters of [a-z0-9._-], the first a letter or digit.";
  if (!IsValidName(header.name())) {
    return absl::InvalidArgumentError(absl::StrCat("name: \"", header.name(), "\" is no name of a dataset; ", kRule));
  }
  if (!header.split().empty() && !IsValidName(header.split())) {
    return absl::InvalidArgumentError(absl::StrCat("split: \"", header.split(), "\" is no name of a split; ", kRule));
  }
  if (header.source().size() > kMaxSourceName || FirstInvalidUtf8(header.source()) != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("source: use at most ", kMaxSourceName, " bytes of UTF-8."));
  }
  if (!header.schema().empty() && header.schema() != kBeir && header.schema() != kFlagEmbedding) {
    return absl::InvalidArgumentError(
        absl::StrCat("schema: unknown value \"", header.schema(), "\". Allowed: ", kSchemas, "."));
  }
  return absl::OkStatus();
}

// A record's keys in the file's order do not matter; the first few name it well enough.
std::string KeysOf(const nlohmann::json& record) {
  constexpr size_t kShown = 8;
  std::vector<std::string> keys;
  for (const auto& [key, value] : record.items()) {
    if (keys.size() < kShown) keys.push_back(key);
  }
  return keys.empty() ? "no keys" : absl::StrCat("the keys ", absl::StrJoin(keys, ", "));
}

// The paths for a message, the first few in their order.
std::string NamesOf(const absl::btree_set<std::string>& paths) {
  constexpr size_t kShown = 5;
  const std::vector<std::string> shown(paths.begin(), std::next(paths.begin(), std::min(paths.size(), kShown)));
  if (shown.empty()) return "import";
  return absl::StrCat(absl::StrJoin(shown, ", "), paths.size() > kShown ? ", …" : "");
}

}  // namespace

Importer::Importer(const muster::v1::ImportHeader& header, std::unique_ptr<DatasetWriter> writer)
    : header_(header), writer_(std::move(writer)), bad_(header.skip_bad()) {
  if (header_.source().empty()) header_.set_source("human");
  if (header_.split().empty()) header_.set_split("train");
  if (!header_.schema().empty()) Choose(header_.schema());
}

absl::StatusOr<std::unique_ptr<Importer>> Importer::Create(const muster::v1::ImportHeader& header,
                                                           const std::filesystem::path& folder) {
  RETURN_IF_ERROR(CheckHeader(header));
  ASSIGN_OR_RETURN(std::unique_ptr<DatasetWriter> writer, DatasetWriter::Create(folder));
  return std::unique_ptr<Importer>(new Importer(header, std::move(writer)));
}

void Importer::Choose(std::string_view schema) {
  schema_ = schema;
  const ImportContext context = {*writer_, bad_, notes_, header_.source(), header_.split()};
  reader_ = schema == kBeir ? MakeBeirReader(context) : MakeFlagEmbeddingReader(context);
}

void Importer::LeaveOut() { notes_.push_back(absl::StrCat(path_, ": left out, no file of the schema")); }

absl::Status Importer::BeginFile(const std::string& path) {
  RETURN_IF_ERROR(EndFile());
  if (!IsSafeRelativePath(path) || FirstInvalidUtf8(path) != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("\"", path, "\": a file's path must be relative, without \"..\"."));
  }
  path_ = path;
  plain_path_ = WithoutCompressionSuffix(path);
  if (!paths_.insert(plain_path_).second) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the file came twice. Name each file once."));
  }
  if (paths_.size() > kMaxFiles) {
    return absl::InvalidArgumentError(absl::StrCat("an import takes at most ", kMaxFiles, " files."));
  }
  if (reader_ == nullptr && IsBeirPath(plain_path_)) Choose(kBeir);
  const bool taken = reader_ != nullptr ? reader_->Takes(plain_path_) : IsJsonLinesPath(plain_path_);
  is_open_ = true;
  if (!taken) {
    LeaveOut();
    return absl::OkStatus();
  }
  lines_.emplace(path_, [this](uint64_t line, std::string_view text) { return Record(line, text); });
  decoder_.emplace(path_, [this](std::string_view bytes) { return lines_->Feed(bytes); });
  return absl::OkStatus();
}

absl::Status Importer::Chunk(std::string_view bytes) {
  if (!is_open_) return absl::InvalidArgumentError("import: a chunk came before the name of its file.");
  bytes_ += bytes.size();
  return decoder_.has_value() ? decoder_->Feed(bytes) : absl::OkStatus();
}

absl::Status Importer::EndFile() {
  is_open_ = false;
  if (!decoder_.has_value()) return absl::OkStatus();
  RETURN_IF_ERROR(decoder_->Finish());
  RETURN_IF_ERROR(lines_->Finish());
  decoder_.reset();
  lines_.reset();
  return absl::OkStatus();
}

absl::Status Importer::Detect(uint64_t line, std::string_view text) {
  const absl::StatusOr<nlohmann::json> record = ParseRecord(text);
  if (!record.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ":", line, ": ", record.status().message(),
                                                   ". The first record shows the schema: fix it, or use --schema."));
  }
  if (record->contains("query") && record->contains("pos")) {
    Choose(kFlagEmbedding);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(path_, ":", line, ": the schema was not recognised, the first record has ",
                                                 KeysOf(*record), ". Known: ", kSchemas, "."));
}

absl::Status Importer::Record(uint64_t line, std::string_view text) {
  if (reader_ == nullptr) RETURN_IF_ERROR(Detect(line, text));
  ++records_;
  return reader_->Record(plain_path_, line, text);
}

absl::StatusOr<muster::v1::ImportReport> Importer::Finish() {
  RETURN_IF_ERROR(EndFile());
  if (reader_ == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(NamesOf(paths_), ": no file of a known schema, or it is empty. Known: ",
                                                   kSchemas, "."));
  }
  RETURN_IF_ERROR(reader_->Finish());
  ASSIGN_OR_RETURN(DatasetFacts facts, writer_->Finish());
  muster::v1::ImportReport report;
  *report.mutable_dataset() = std::move(facts.dataset);
  report.mutable_dataset()->set_name(header_.name());
  report.set_schema(schema_);
  report.set_bad_records(bad_.count());
  for (const std::string& message : bad_.messages()) report.add_bad_record_messages(message);
  for (const auto& [positives, queries] : facts.positives_per_query) {
    (*report.mutable_positives_per_query())[positives] = queries;
  }
  report.set_duplicate_share(facts.duplicate_share);
  report.set_false_negative_share(facts.false_negative_share);
  report.set_empty_texts(facts.empty_texts);
  for (const std::string& note : notes_) report.add_notes(note);
  return report;
}

}  // namespace muster
