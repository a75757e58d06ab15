#include "coordinator/data/import/importer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/files.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/import/file_look.h"
#include "coordinator/data/import/import_header.h"
#include "coordinator/data/import/report_notes.h"
#include "coordinator/data/import/schemas/fields.h"

namespace muster {
namespace {

constexpr size_t kMaxFiles = 100000;
constexpr size_t kShownLooks = 3;

std::string WithoutCompressionSuffix(absl::string_view path) {
  for (const absl::string_view suffix : {".gz", ".zst"}) {
    if (absl::ConsumeSuffix(&path, suffix)) break;
  }
  return std::string(path);
}

// `muster data add` sends a file with only judgments as FILE/qrels/SPLIT.tsv, whatever its name; messages show FILE.
std::string ShownPath(absl::string_view path, const std::string& split) {
  absl::ConsumeSuffix(&path, absl::StrCat("/qrels/", split, ".tsv"));
  return std::string(path);
}

// The order of a record's keys does not matter; the first few are enough to describe it.
std::string KeysOf(const InputRecord& record) {
  constexpr size_t kShown = 8;
  std::vector<std::string> keys;
  if (record.is_object()) {
    for (const InputRecord::Value value : record.root()) {  // in their order, which some schemas depend on
      keys.push_back(absl::StrCat(ToAbsl(value.key()), value.kind() == InputRecord::Kind::kNull ? " (null)" : ""));
    }
  }
  if (keys.size() > kShown) keys.resize(kShown);
  return keys.empty() ? "no keys" : absl::StrCat("the keys ", absl::StrJoin(keys, ", "));
}

std::string FileNameOf(const std::string& path) { return std::filesystem::path(path).filename().string(); }

bool IsBeirPath(const std::string& path) {
  const std::string name = FileNameOf(path);
  return name == "corpus.jsonl" || name == "queries.jsonl" || IsInQrelsFolder(path);
}

bool IsNamedAsData(absl::string_view path) {
  return absl::EndsWith(path, ".jsonl") || absl::EndsWith(path, ".ndjson") || absl::EndsWith(path, ".json") || absl::EndsWith(path, ".csv") ||
         absl::EndsWith(path, ".tsv") || absl::EndsWith(path, ".parquet");
}

// Files that often accompany data but never contain any, even if a schema is named.
bool IsNamedAsOther(absl::string_view path) {
  return absl::EndsWith(path, ".md") || absl::EndsWith(path, ".py") || absl::EndsWith(path, ".yaml") || absl::EndsWith(path, ".yml");
}

constexpr absl::string_view kExampleLine = R"({"query": "…", "pos": ["…"], "neg": ["…"]})";

absl::Status MissingInBeir(absl::string_view file) {
  return absl::InvalidArgumentError(absl::StrCat(
      file, ": there is no such file, or it is empty. A BEIR folder has corpus.jsonl, queries.jsonl and "
      "qrels/SPLIT.tsv."));
}

std::optional<double> MaxMissingShare(const muster::v1::ImportHeader& header) {
  return header.has_max_missing_share() ? std::optional<double>(header.max_missing_share()) : std::nullopt;
}

}  // namespace

Importer::Importer(const muster::v1::ImportHeader& header, const std::filesystem::path& folder,
                   const std::filesystem::path& parquet, std::unique_ptr<DatasetWriter> writer,
                   std::unique_ptr<const BaseRecords> base)
    : header_(header),
      folder_(folder),
      parquet_(parquet),
      writer_(std::move(writer)),
      base_(std::move(base)),
      bad_(header.skip_bad()),
      rows_(*writer_, header.source().empty() ? "human" : header.source(), MaxMissingShare(header), base_.get()),
      splits_(header.split()),
      schema_(header.schema()) {
  for (const auto& [field, own] : header.columns()) fields_[own] = field;
}

absl::StatusOr<std::unique_ptr<Importer>> Importer::Create(const muster::v1::ImportHeader& header,
                                                           const std::filesystem::path& folder,
                                                           std::shared_ptr<const Dataset> base,
                                                           const std::filesystem::path& parquet) {
  RETURN_IF_ERROR(CheckImportHeader(header));
  ASSIGN_OR_RETURN(std::unique_ptr<DatasetWriter> writer, DatasetWriter::Create(folder));
  auto records = base == nullptr ? nullptr : std::make_unique<const BaseRecords>(std::move(base));
  return std::unique_ptr<Importer>(new Importer(header, folder, parquet, std::move(writer), std::move(records)));
}

absl::Status Importer::BeginFile(const std::string& path, const std::string& split) {
  RETURN_IF_ERROR(EndFile());
  if (!split.empty() && !IsValidName(split)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": \"", split, "\" is not a valid split name; ", kNameRule));
  }
  if (!IsSafeRelativePath(path) || FirstInvalidUtf8(path) != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("\"", path, "\": a file's path must be relative, without \"..\"."));
  }
  path_ = base_ == nullptr ? path : ShownPath(path, split);
  plain_path_ = WithoutCompressionSuffix(path);
  if (!paths_.insert(plain_path_).second) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the file was sent twice. Name each file once."));
  }
  if (paths_.size() > kMaxFiles) {
    return absl::InvalidArgumentError(absl::StrCat("an import takes at most ", kMaxFiles, " files. Join small files into larger ones."));
  }
  is_open_ = true;
  is_left_out_ = false;
  split_ = split;
  kind_ = nullptr;
  columns_.clear();
  is_beir_ |= (schema_.empty() || schema_ == "beir") && IsBeirPath(plain_path_);
  const bool must_read = !header_.schema().empty() && !IsNamedAsOther(plain_path_);
  reader_.emplace(FileReader::Options{path_, plain_path_, must_read, folder_ / "upload.parquet", parquet_}, json_,
                  [this](const Place& place, const absl::Status& status, std::string_view text, InputRecord& record) {
                    return Take(place, status, text, record);
                  });
  decoder_.emplace(path_, [this](std::string_view bytes) { return reader_->Feed(bytes); });
  return absl::OkStatus();
}

absl::Status Importer::Chunk(std::string_view bytes) {
  if (!is_open_) return absl::InvalidArgumentError("import: a chunk came before the name of its file.");
  bytes_ += bytes.size();
  if (is_left_out_) return absl::OkStatus();
  const absl::Status status = decoder_->Feed(bytes);
  if (!status.ok() && kind_ == nullptr && header_.schema().empty() && !IsNamedAsData(plain_path_)) {
    is_left_out_ = true;  // errors in a file that is left out do not matter
    return absl::OkStatus();
  }
  is_left_out_ = reader_->is_other();
  return status;
}

absl::Status Importer::EndFile() {
  if (!is_open_) return absl::OkStatus();
  is_open_ = false;
  if (!is_left_out_) {
    absl::Status status = decoder_->Finish();
    if (status.ok()) status = reader_->Finish();
    is_left_out_ = reader_->is_other();
    const bool may_be_data = kind_ != nullptr || !header_.schema().empty() || IsNamedAsData(plain_path_);
    if (!status.ok() && may_be_data) return status;
    is_left_out_ |= !status.ok();
  }
  if (kind_ == nullptr) RETURN_IF_ERROR(LeaveOut());
  decoder_.reset();
  reader_.reset();
  return absl::OkStatus();
}

// Keeps the beginnings of the first few files, because the error of an import that finds no schema must describe the files.
absl::Status Importer::LeaveOut() {
  if (!split_.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": a split is given for it, and it is not a file of ",
                     schema_.empty() ? "a known schema" : absl::StrCat("schema ", schema_),
                     ". Name its schema, for example --schema flagembedding."));
  }
  if (is_left_out_) notes_.push_back(absl::StrCat(path_, ": left out, no file of the schema"));
  if (schema_.empty() && looks_.size() < kShownLooks) looks_.push_back({path_, reader_->begin()});
  return absl::OkStatus();
}

absl::Status Importer::Take(const Place& place, const absl::Status& status, std::string_view text, InputRecord& record) {
  if (!status.ok()) return Bad(place, status, text);
  if (seen_fields_.size() < fields_.size()) {
    for (const auto& [own, field] : fields_) {
      if (record.Has(own)) seen_fields_.insert(own);
    }
  }
  record.Rename(fields_);
  if (kind_ == nullptr) {
    RETURN_IF_ERROR(Detect(place, record));
    record.ForgetReads();
  }
  ++records_;
  rows_.SetPlace(place);
  if (columns_.empty() && kind_->columns_of != nullptr) columns_ = kind_->columns_of(record);
  record.columns = columns_;
  const absl::Status read = kind_->read(record, rows_);
  if (absl::IsInvalidArgument(read)) return bad_.Add(place, ToStd(read.message()));
  unread_.Count(record);
  return read;
}

absl::Status Importer::Bad(const Place& place, const absl::Status& status, std::string_view text) {
  const bool is_known = kind_ != nullptr || !schema_.empty() || IsBeirPath(plain_path_);
  if (is_known || header_.skip_bad() > 0) {
    ++records_;
    return bad_.Add(place, ToStd(status.message()));
  }
  const std::string look = LookOfFile(text);
  const bool is_table = look.find("CSV") != std::string::npos || look.find("TSV") != std::string::npos;
  return absl::InvalidArgumentError(absl::StrCat(
      place.Text(), ": ", status.message(), ".",
      is_table ? absl::StrCat(" The file ", look, "; its lines must be such as ", kExampleLine, ".") : ""));
}

absl::Status Importer::NotRecognized(const Place& place, const InputRecord& record) const {
  const TableName table = TableNamedBy(plain_path_);
  const bool may_be_table = (record.Has("_id") || record.Has("id")) && record.Has("text") && table == TableName::kNone;
  if (IsLine(record)) {
    return absl::InvalidArgumentError(absl::StrCat(place.Text(), ": the line is of no known schema: it ",
                                                   LookOfFile(record.root().text()), ". Known: ", KnownSchemas(),
                                                   ". Name it with --schema."));
  }
  const auto unseen = std::find_if(fields_.begin(), fields_.end(), [&](const auto& own) { return !seen_fields_.contains(own.first); });
  return absl::InvalidArgumentError(absl::StrCat(
      place.Text(), ": the schema was not recognized, the first record has ", KeysOf(record),
      unseen == fields_.end() ? "" : absl::StrCat(", and not \"", unseen->first, "\", which --columns names"),
      may_be_table ? ". Documents and queries look the same: name the file corpus… or queries…" : "",
      ". Known: ", KnownSchemas(), ". Name it with --schema, or name its columns with --columns."));
}

absl::Status Importer::Detect(const Place& place, const InputRecord& record) {
  const auto at_place = [&](const absl::Status& status) {
    return absl::InvalidArgumentError(absl::StrCat(place.Text(), ": ", status.message(), "."));
  };
  const absl::StatusOr<const RecordKind*> found = DetectKind(plain_path_, record, schema_);
  if (!found.ok()) return at_place(found.status());
  if (*found != nullptr) return BeginKind(**found);
  if ((schema_.empty() || schema_ == "beir") && IsBeirPath(plain_path_) && !IsInQrelsFolder(plain_path_)) {
    return BeginKind(FileNameOf(plain_path_) == "corpus.jsonl" ? kTableKinds[0] : kTableKinds[1]);
  }
  if (schema_.empty()) return NotRecognized(place, record);
  if (header_.schema().empty()) {
    const absl::StatusOr<const RecordKind*> other = DetectKind(plain_path_, record, "");
    if (other.ok() && *other != nullptr) {
      return at_place(absl::InvalidArgumentError(absl::StrCat(
          "the file is of schema ", ToAbsl((*other)->schema), ", and ", schema_path_, " of schema ", schema_,
          ". Import files of one schema; the others go into the same dataset with muster data add")));
    }
  }
  return BeginKind(*FirstKindOf(schema_));
}

absl::Status Importer::BeginKind(const RecordKind& kind) {
  kind_ = &kind;
  if (kind.holds == RecordKind::Holds::kJudgments) {
    has_judgments_ = true;
    if (schema_.empty()) {
      schema_ = kind.schema;
      schema_path_ = path_;
    }
    return BeginSplit();
  }
  (kind.holds == RecordKind::Holds::kDocuments ? has_documents_ : has_queries_) = true;
  if (!split_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        plain_path_, ": holds no judgments, so it has no split. The qrels files name the splits: qrels/SPLIT.tsv."));
  }
  if (FileNameOf(plain_path_) != "corpus.jsonl") return absl::OkStatus();
  if (!beir_corpus_.empty()) {
    const auto folder = [](const std::string& path) { return std::filesystem::path(path).parent_path().string(); };
    return absl::InvalidArgumentError(absl::StrCat("the files hold several BEIR datasets: ", folder(beir_corpus_), ", ",
                                                   folder(plain_path_), ". Import one of them."));
  }
  beir_corpus_ = plain_path_;
  return absl::OkStatus();
}

// A file in a folder qrels is named after its split.
absl::Status Importer::BeginSplit() {
  if (!IsInQrelsFolder(plain_path_)) {
    const absl::StatusOr<SplitAssignment::Assigned> assigned = splits_.Add(plain_path_, split_);
    if (!assigned.ok()) return assigned.status();
    rows_.BeginFile(plain_path_, path_, assigned->split, assigned->by_name);
    return absl::OkStatus();
  }
  const std::string named = std::filesystem::path(plain_path_).stem().string();
  const std::string given = split_.empty() ? header_.split() : split_;
  if (!IsValidName(named)) {
    return absl::InvalidArgumentError(absl::StrCat(
        plain_path_, ": the file's name is the split's name: [a-z0-9._-], at most 63 characters. Rename it."));
  }
  if (!given.empty() && given != named) {
    return absl::InvalidArgumentError(absl::StrCat(plain_path_, ": is split ", named, " by its name, and the given split is ",
                                                   given, ". Leave out --split, or rename the file."));
  }
  rows_.BeginFile(plain_path_, path_, named, false);
  return absl::OkStatus();
}

absl::Status Importer::NoSchema() const {
  std::vector<std::string> looks;
  for (const Look& look : looks_) looks.push_back(absl::StrCat(look.path, " ", LookOfFile(look.begin)));
  if (looks.empty()) looks.push_back("no file came");
  if (paths_.size() > looks_.size()) looks.push_back("…");
  return absl::InvalidArgumentError(
      absl::StrCat("no file has a known schema: ", absl::StrJoin(looks, "; "), ". Known: ", KnownSchemas(),
                   ". Write one JSON object per line to a file named *.jsonl, such as ", kExampleLine,
                   "; a file of another name needs --schema flagembedding."));
}

absl::Status Importer::CheckFinished() const {
  if (base_ == nullptr && is_beir_ && (schema_.empty() || schema_ == "beir")) {
    if (!has_documents_) return MissingInBeir("corpus.jsonl");
    if (!has_queries_) return MissingInBeir("queries.jsonl");
    if (!has_judgments_) return MissingInBeir("qrels/SPLIT.tsv");
  }
  if (has_judgments_) {
    if (base_ == nullptr && rows_.has_judgments_by_id() && !has_queries_ && rows_.queries() == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the judgments of schema ", schema_, " name queries by id, and no file holds queries: a file with, per record, "
          "query_id and text. Import it together with the judgments."));
    }
    if (base_ != nullptr || !rows_.has_judgments_by_id() || has_documents_ || rows_.documents() > 0) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "the judgments of schema ", schema_, " name documents by id, and no file holds documents: a file with, per record, "
        "docid, title and text. Import it together with the judgments."));
  }
  if (!has_documents_ && !has_queries_) return NoSchema();
  return absl::InvalidArgumentError(absl::StrCat("the files hold ", has_documents_ ? "documents" : "queries",
                                                 has_documents_ && has_queries_ ? " and queries" : "",
                                                 ", and no judgments: no file says which document is relevant to which query. "
                                                 "Import the judgments together with them."));
}

absl::Status Importer::CheckColumns() const {
  for (const auto& [own, field] : fields_) {
    if (seen_fields_.contains(own)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("columns: no record has \"", own, "\", which is named as \"", field, "\". Correct --columns."));
  }
  return absl::OkStatus();
}

absl::StatusOr<muster::v1::ImportReport> Importer::Finish() {
  RETURN_IF_ERROR(EndFile());
  RETURN_IF_ERROR(CheckFinished());
  RETURN_IF_ERROR(CheckColumns());
  muster::v1::ImportReport report;
  RETURN_IF_ERROR(rows_.Finish(notes_, report));
  unread_.AddNote(notes_);
  ASSIGN_OR_RETURN(DatasetFacts facts, writer_->Finish(base_ == nullptr));
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
  report.set_conflicting_judgments(facts.conflicting);
  report.set_replaced_characters(json_.replaced_characters());
  for (const std::string& note : notes_) report.add_notes(note);
  AddNotesOnRepairs(report);
  AddNoteOnHardNegatives(facts, report);
  return report;
}

}  // namespace muster
