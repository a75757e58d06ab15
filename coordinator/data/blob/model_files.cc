#include "coordinator/data/blob/model_files.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/model/folder_files.h"
#include "common/model/tokenizer_json.h"
#include "common/small_file.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/tokenize/tokenizer_files.h"

namespace muster {
namespace {

using muster::v1::FileEntry;
using muster::v1::FileManifest;

// Files from clients are read into memory only up to this size.
constexpr uint64_t kMaxJsonBytes = 1 << 20, kMaxVocabularyBytes = 64 << 20;

const FileEntry* Find(const FileManifest& files, absl::string_view path) {
  const auto found = std::find_if(files.files().begin(), files.files().end(),
                                  [&](const FileEntry& file) { return file.path() == path; });
  return found == files.files().end() ? nullptr : &*found;
}

constexpr absl::string_view kReads = "Muster reads tokenizer.json, vocab.txt and SentencePiece's Unigram models.";
constexpr std::string_view kPush = "models push";

std::string PathsOf(const FileManifest& files) {
  constexpr int kShown = 10;
  std::vector<std::string> paths;
  for (const FileEntry& file : files.files()) {
    if (paths.size() < kShown) paths.push_back(file.path());
  }
  return paths.empty() ? "no file" : absl::StrCat(absl::StrJoin(paths, ", "), files.files_size() > kShown ? ", …" : "");
}

absl::Status MissingFile(absl::string_view file, const FileManifest& files, absl::string_view remedy) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, " is missing, the folder has ", PathsOf(files), ". ", remedy));
}

bool HasTokenizer(const FileManifest& files) {
  return std::any_of(files.files().begin(), files.files().end(),
                     [](const FileEntry& file) { return IsTokenizerSource(file.path()); });
}

// Reads the tokenizer's files from their blobs.
TokenizerFileReader ReaderOf(const BlobStore& blobs, const FileManifest& files) {
  return [&blobs, &files](std::string_view name) -> absl::StatusOr<std::optional<std::string>> {
    const FileEntry* entry = Find(files, ToAbsl(name));
    if (entry == nullptr) return std::nullopt;
    ASSIGN_OR_RETURN(const auto path, blobs.PathOf(entry->digest()));
    absl::StatusOr<std::string> bytes =
        ReadSmallFile(path, name == "tokenizer_config.json" ? kMaxJsonBytes : kMaxVocabularyBytes);
    if (!bytes.ok()) return WithContext(bytes.status(), name);
    return std::move(*bytes);
  };
}

// The files without which a folder is neither a model nor a tokenizer.
absl::Status CheckFiles(const FileManifest& files) {
  std::vector<std::string> paths;
  for (const FileEntry& file : files.files()) paths.push_back(file.path());
  return CheckModelPaths(paths);
}

// Ranks copy it into the export only after training, which is too late to find an error.
absl::Status CheckTokenizerJson(const BlobStore& blobs, const FileManifest& files) {
  const FileEntry* entry = Find(files, "tokenizer.json");
  if (entry == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto path, blobs.PathOf(entry->digest()));
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(path, kMaxVocabularyBytes));
  return UntruncatedTokenizer(text).status();
}

muster::v1::Pooling PoolingOf(PoolingMode mode) {
  switch (mode) {
    case PoolingMode::kCls:
      return muster::v1::POOLING_CLS;
    case PoolingMode::kMean:
      return muster::v1::POOLING_MEAN;
    case PoolingMode::kLast:
      return muster::v1::POOLING_LAST;
    case PoolingMode::kMax:
      return muster::v1::POOLING_MAX;
    case PoolingMode::kMeanSqrtLength:
      return muster::v1::POOLING_MEAN_SQRT_LENGTH;
    case PoolingMode::kWeightedMean:
      return muster::v1::POOLING_WEIGHTED_MEAN;
  }
  return muster::v1::POOLING_UNSPECIFIED;
}

absl::StatusOr<EncoderConfig> ReadModelFolder(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(EncoderConfig config, ReadEncoderConfig(folder));
  RETURN_IF_ERROR(CheckModelFolder(folder, config, &config.notes));
  return config;
}

// The facts about the folder that jobs use. The tokenizer may have fewer entries than the model has word embeddings,
// but not more.
absl::Status DescribeModel(const EncoderConfig& config, muster::v1::Model& model) {
  const int64_t entries = model.vocabulary_size();
  RETURN_IF_ERROR(CheckVocabulary("the tokenizer", entries, config));
  for (const std::string& note : config.notes) model.add_notes(note);
  if (entries < config.vocabulary_size) {
    model.add_notes(absl::StrCat("the word embeddings have ", config.vocabulary_size, " rows for ", entries,
                                 " entries of the tokenizer: the others are never looked up, and the export has them, "
                                 "too."));
  }
  model.set_architecture(config.architecture);
  model.set_hidden_size(config.hidden_size);
  model.set_layers(config.layers);
  model.mutable_prompts()->set_query(config.prompts.query);
  model.mutable_prompts()->set_passage(config.prompts.passage);
  model.set_pooling(PoolingOf(config.pooling));
  model.set_normalize(config.normalize);
  model.set_max_length(config.max_sequence_length);
  model.set_exclude_prompt(config.exclude_prompt);
  model.set_embedding_size(config.EmbeddingSize());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<NamedManifest> CanonicalManifest(const FileManifest& files) {
  NamedManifest manifest = {files, "", ""};
  auto* entries = manifest.files.mutable_files();
  std::sort(entries->begin(), entries->end(),
            [](const FileEntry& a, const FileEntry& b) { return a.path() < b.path(); });
  for (int i = 0; i < entries->size(); ++i) {
    const std::string& path = entries->Get(i).path();
    if (!IsSafeRelativePath(path) || !IsSha256Hex(entries->Get(i).digest())) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", path, "\": a file's path must be relative, without \"..\", and its digest a SHA-256"));
    }
    if (i > 0 && entries->Get(i - 1).path() == path) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": the file is in the manifest twice"));
    }
  }
  manifest.bytes = manifest.files.SerializeAsString();
  manifest.digest = Sha256Hex(manifest.bytes);
  return manifest;
}

absl::StatusOr<FileManifest> ReadManifestBlob(const BlobStore& blobs, const std::string& digest) {
  ASSIGN_OR_RETURN(const auto path, blobs.PathOf(digest));
  ASSIGN_OR_RETURN(std::string bytes, ReadSmallFile(path, kMaxManifestBytes));
  if (Sha256Hex(bytes) != digest) {
    ASSIGN_OR_RETURN(bytes, ReadSmallFile(path, kMaxManifestBytes));  // perhaps only the first read was wrong
    if (Sha256Hex(bytes) != digest) {
      return absl::DataLossError(
          absl::StrCat("blob ", digest.substr(0, 12), ": its bytes on the data server's disk are damaged"));
    }
  }
  FileManifest files;
  if (files.ParseFromString(bytes)) return files;
  return absl::InvalidArgumentError(absl::StrCat("blob ", digest.substr(0, 12), " is not a manifest of files"));
}

absl::StatusOr<ScratchFolder> LayOut(const BlobStore& blobs, const FileManifest& files,
                                     const std::filesystem::path& scratch) {
  ASSIGN_OR_RETURN(ScratchFolder folder, ScratchFolder::Make(scratch, "model"));
  for (const FileEntry& file : files.files()) {
    const absl::StatusOr<std::filesystem::path> blob = blobs.PathOf(file.digest());
    if (!blob.ok()) {
      return WithReason(absl::FailedPreconditionError(absl::StrCat(
                            file.path(), ": blob ", file.digest().substr(0, 12), " is not stored. Put it first.")),
                        "BLOB_NOT_FOUND");
    }
    const std::filesystem::path target = folder.path() / file.path();
    RETURN_IF_ERROR(MakeFolders(target.parent_path()));
    std::error_code error;
    std::filesystem::create_hard_link(*blob, target, error);
    if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat(file.path(), ": cannot be laid out"));
  }
  return folder;
}

absl::StatusOr<FileManifest> TokenizerFiles(const FileManifest& files) {
  FileManifest tokenizer;
  for (const FileEntry& file : files.files()) {
    if (DecidesTokenIds(file.path())) *tokenizer.add_files() = file;
  }
  if (HasTokenizer(tokenizer)) return tokenizer;
  return MissingFile("tokenizer.json", files, kReads);
}

absl::StatusOr<std::shared_ptr<const Tokenizer>> LoadTokenizer(const BlobStore& blobs, const FileManifest& files) {
  return ReadTokenizer(ReaderOf(blobs, files));
}

absl::StatusOr<std::shared_ptr<const Tokenizer>> LoadTokenizer(const BlobStore& blobs, const FileManifest& files,
                                                               const std::string& digest) {
  const TokenizerFileReader read = ReaderOf(blobs, files);
  const auto tokenizer = ReadTokenizer(read);
  if (tokenizer.ok() && (*tokenizer)->digest() == digest) return tokenizer;
  if (const auto earlier = ReadTokenizerOfEarlierVersions(read); earlier.ok() && (*earlier)->digest() == digest) {
    return earlier;
  }
  RETURN_IF_ERROR(tokenizer.status());
  return absl::FailedPreconditionError("the job's tokenizer is not the one that it was submitted with");
}

absl::StatusOr<EncoderConfig> ReadConfig(const BlobStore& blobs, const muster::v1::ModelSpec& spec,
                                         const FileManifest* model, uint32_t vocabulary_size,
                                         const std::filesystem::path& scratch) {
  if (model == nullptr) return PresetConfig(spec.preset(), vocabulary_size);
  ASSIGN_OR_RETURN(const ScratchFolder folder, LayOut(blobs, *model, scratch));
  return ReadEncoderConfig(folder.path());
}

absl::StatusOr<EncoderConfig> ReadConfig(const BlobStore& blobs, const muster::v1::ModelCheckpoint& checkpoint,
                                         const FileManifest* base, const std::filesystem::path& scratch) {
  const muster::v1::ModelSpec& spec = checkpoint.model();
  ASSIGN_OR_RETURN(EncoderConfig config, checkpoint.has_base()
                                             ? ReadConfig(blobs, checkpoint.base(), base, scratch)
                                             : ReadConfig(blobs, spec, base, checkpoint.vocabulary_size(), scratch));
  // The job's export has these values instead of those of the folder that the job began with (worker/rank/train/model_spec.cc).
  const int64_t longest = std::max(spec.max_length().query(), spec.max_length().passage());
  if (longest > 0) config.max_sequence_length = std::min(longest, config.max_positions);
  if (spec.has_include_prompt()) config.exclude_prompt = !spec.include_prompt();
  config.prompts.query = checkpoint.prompts().query();
  config.prompts.passage = checkpoint.prompts().passage();
  return config;
}

absl::StatusOr<muster::v1::Model> CheckModel(const BlobStore& blobs, const FileManifest& files,
                                             const std::filesystem::path& scratch) {
  RETURN_IF_ERROR(WithContext(CheckFiles(files), kPush));
  const bool is_model = Find(files, "config.json") != nullptr;
  const absl::StatusOr<ScratchFolder> folder = LayOut(blobs, files, scratch);
  if (!folder.ok()) return WithContext(folder.status(), kPush);
  muster::v1::Model model;
  absl::StatusOr<EncoderConfig> config;
  if (is_model) config = ReadModelFolder(folder->path());
  if (is_model && !config.ok()) return WithContext(config.status(), kPush);
  const auto tokenizer = LoadTokenizer(blobs, files);
  if (!tokenizer.ok()) return WithContext(tokenizer.status(), kPush);
  RETURN_IF_ERROR(WithContext(CheckTokenizerJson(blobs, files), kPush));
  model.set_vocabulary_size((*tokenizer)->vocabulary_size());
  if (is_model) RETURN_IF_ERROR(WithContext(DescribeModel(*config, model), kPush));
  for (const FileEntry& file : files.files()) model.set_bytes(model.bytes() + file.size());
  return model;
}

}  // namespace muster
