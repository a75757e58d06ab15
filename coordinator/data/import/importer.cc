#include "coordinator/data/import/importer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/files.h"
#include "common/nearest_name.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/file_look.h"
#include "coordinator/data/import/json_record.h"
#include "coordinator/data/import/report_notes.h"

namespace muster {
namespace {

constexpr std::string_view kBeir = "beir";
constexpr std::string_view kFlagEmbedding = "flagembedding";
constexpr absl::string_view kSchemas =
    "beir (corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv), flagembedding (query, pos, neg)";
constexpr absl::string_view kNameRule = "use 1 to 63 characters of [a-z0-9._-], the first a letter or digit.";
constexpr size_t kMaxFiles = 100000;
constexpr size_t kShownLooks = 3;
constexpr size_t kMaxSourceName = 63;

std::string WithoutCompressionSuffix(absl::string_view path) {
  for (const absl::string_view suffix : {".gz", ".zst"}) {
    if (absl::ConsumeSuffix(&path, suffix)) break;
  }
  return std::string(path);
}

absl::Status CheckHeader(const muster::v1::ImportHeader& header) {
  if (!IsValidName(header.name())) {
    return absl::InvalidArgumentError(
        absl::StrCat("name: \"", header.name(), "\" is no name of a dataset; ", kNameRule));
  }
  if (!header.split().empty() && !IsValidName(header.split())) {
    return absl::InvalidArgumentError(
        absl::StrCat("split: \"", header.split(), "\" is no name of a split; ", kNameRule));
  }
  if (header.source().size() > kMaxSourceName || FirstInvalidUtf8(header.source()) != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("source: use at most ", kMaxSourceName, " bytes of UTF-8."));
  }
  if (!header.schema().empty() && header.schema() != kBeir && header.schema() != kFlagEmbedding) {
    const std::string nearest = NearestName(header.schema(), {std::string(kBeir), std::string(kFlagEmbedding)});
    return absl::InvalidArgumentError(
        absl::StrCat("schema: unknown value \"", header.schema(), "\". Allowed: ", kSchemas,
                     nearest.empty() ? "." : absl::StrCat(". Did you mean \"", nearest, "\"?")));
  }
  for (const auto& [set, field] : {std::pair{!header.columns().empty(), "columns"},
                                   {header.has_max_missing_share(), "max_missing_share"}}) {
    if (set) return absl::UnimplementedError(absl::StrCat(field, ": this data server does not know it"));
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

constexpr absl::string_view kExampleLine = R"({"query": "…", "pos": ["…"], "neg": ["…"]})";

}  // namespace

Importer::Importer(const muster::v1::ImportHeader& header, std::unique_ptr<DatasetWriter> writer,
                   std::unique_ptr<const BaseRecords> base)
    : header_(header), writer_(std::move(writer)), base_(std::move(base)), bad_(header.skip_bad()) {
  if (header_.source().empty()) header_.set_source("human");
  if (!header_.schema().empty()) Choose(header_.schema());
}

absl::StatusOr<std::unique_ptr<Importer>> Importer::Create(const muster::v1::ImportHeader& header,
                                                           const std::filesystem::path& folder,
                                                           std::shared_ptr<const Dataset> base) {
  RETURN_IF_ERROR(CheckHeader(header));
  ASSIGN_OR_RETURN(std::unique_ptr<DatasetWriter> writer, DatasetWriter::Create(folder));
  auto records = base == nullptr ? nullptr : std::make_unique<const BaseRecords>(std::move(base));
  return std::unique_ptr<Importer>(new Importer(header, std::move(writer), std::move(records)));
}

void Importer::Choose(std::string_view schema) {
  schema_ = schema;
  const ImportContext context = {*writer_, bad_, notes_, header_.source(), header_.split(), !header_.schema().empty(),
                                 base_.get()};
  reader_ = schema == kBeir ? MakeBeirReader(context) : MakeFlagEmbeddingReader(context);
}

// Of the first few files it is kept how they begin, since an import that finds no schema has to say what came instead.
absl::Status Importer::LeaveOut() {
  if (!split_.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": a split is given for it, and it is no file of ",
                     schema_.empty() ? "a known schema" : absl::StrCat("schema ", schema_),
                     ". Name its schema, for example --schema ", ToAbsl(kFlagEmbedding), "."));
  }
  notes_.push_back(absl::StrCat(path_, ": left out, no file of the schema"));
  if (reader_ != nullptr || looks_.size() >= kShownLooks) return absl::OkStatus();
  looks_.push_back({path_, ""});
  decoder_.emplace(path_, [this](std::string_view bytes) {
    std::string& begin = looks_.back().begin;
    begin += bytes.substr(0, kLookBytes - std::min(kLookBytes, begin.size()));
    return absl::OkStatus();
  });
  return absl::OkStatus();
}

absl::Status Importer::BeginFile(const std::string& path, const std::string& split) {
  RETURN_IF_ERROR(EndFile());
  if (!split.empty() && !IsValidName(split)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": \"", split, "\" is no name of a split; ", kNameRule));
  }
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
  split_ = split;
  if (!taken) return LeaveOut();
  if (reader_ != nullptr) RETURN_IF_ERROR(reader_->Begin(plain_path_, split_));
  const bool may_be_array = !absl::EndsWith(plain_path_, ".tsv");
  splitter_.emplace(path_, may_be_array, [this](uint64_t line, std::string_view text) { return Record(line, text); });
  decoder_.emplace(path_, [this](std::string_view bytes) { return splitter_->Feed(bytes); });
  return absl::OkStatus();
}

absl::Status Importer::Chunk(std::string_view bytes) {
  if (!is_open_) return absl::InvalidArgumentError("import: a chunk came before the name of its file.");
  bytes_ += bytes.size();
  if (!decoder_.has_value()) return absl::OkStatus();
  if (splitter_.has_value()) return decoder_->Feed(bytes);
  // A file that is left out: what is wrong with it does not matter.
  if (!decoder_->Feed(bytes).ok() || looks_.back().begin.size() >= kLookBytes) decoder_.reset();
  return absl::OkStatus();
}

absl::Status Importer::EndFile() {
  is_open_ = false;
  if (!decoder_.has_value()) return absl::OkStatus();
  if (!splitter_.has_value()) {
    decoder_->Finish().IgnoreError();  // hands on what it holds back
    decoder_.reset();
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(decoder_->Finish());
  RETURN_IF_ERROR(splitter_->Finish());
  decoder_.reset();
  splitter_.reset();
  if (reader_ == nullptr && looks_.size() < kShownLooks) looks_.push_back({path_, ""});  // no record showed a schema
  return absl::OkStatus();
}

absl::Status Importer::Detect(uint64_t line, std::string_view text) {
  const std::string place = absl::StrCat(path_, ":", line, ": ");
  const absl::StatusOr<nlohmann::json> record = ParseRecord(text);
  if (!record.ok()) {
    const std::string remedy = JsonLinesRemedy(text);
    return absl::InvalidArgumentError(absl::StrCat(
        place, record.status().message(), ". ",
        remedy.empty() ? absl::StrCat("The file ", LookOfFile(text), "; its lines must be such as ", kExampleLine)
                       : remedy,
        "."));
  }
  if (record->contains("query") && record->contains("pos")) {
    Choose(kFlagEmbedding);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(place, "the schema was not recognized, the first record has ",
                                                 KeysOf(*record), ". Known: ", kSchemas, "."));
}

absl::Status Importer::NoSchema() const {
  std::vector<std::string> looks;
  for (const Look& look : looks_) looks.push_back(absl::StrCat(look.path, " ", LookOfFile(look.begin)));
  if (looks.empty()) looks.push_back("no file came");
  if (paths_.size() > looks_.size()) looks.push_back("…");
  return absl::InvalidArgumentError(
      absl::StrCat("no file is of a known schema: ", absl::StrJoin(looks, "; "), ". Known: ", kSchemas,
                   ". Write one JSON object per line to a file named *.jsonl, such as ", kExampleLine,
                   "; a file of another name needs --schema ", ToAbsl(kFlagEmbedding), "."));
}

absl::Status Importer::Record(uint64_t line, std::string_view text) {
  if (reader_ == nullptr) {
    RETURN_IF_ERROR(Detect(line, text));
    RETURN_IF_ERROR(reader_->Begin(plain_path_, split_));
  }
  ++records_;
  return reader_->Record(plain_path_, line, text);
}

absl::StatusOr<muster::v1::ImportReport> Importer::Finish() {
  RETURN_IF_ERROR(EndFile());
  if (reader_ == nullptr) return NoSchema();
  RETURN_IF_ERROR(reader_->Finish());
  ASSIGN_OR_RETURN(DatasetFacts facts, writer_->Finish(base_ == nullptr));
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
  const uint64_t doubtful = facts.own_positives + facts.other_positives;
  report.set_false_negative_share(
      facts.hard_negatives == 0 ? 0 : static_cast<double>(doubtful) / static_cast<double>(facts.hard_negatives));
  report.set_empty_texts(facts.empty_texts);
  for (const std::string& note : notes_) report.add_notes(note);
  AddNoteOnHardNegatives(facts, report);
  return report;
}

}  // namespace muster
