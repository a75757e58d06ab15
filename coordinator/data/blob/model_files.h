// A model as a manifest of blobs: laid out as a folder, checked, and its tokenizer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/hf_config.h"
#include "coordinator/data/blob/blob_store.h"
#include "coordinator/data/store/state_folder.h"
#include "coordinator/data/tokenize/tokenizer.h"
#include "muster/v1/blob.pb.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/model.pb.h"

namespace muster {

// The manifest with its files sorted, and the digest of its bytes. INVALID_ARGUMENT for a path that is not safe or
// occurs twice.
struct NamedManifest {
  muster::v1::FileManifest files;
  std::string bytes, digest;
};
absl::StatusOr<NamedManifest> CanonicalManifest(const muster::v1::FileManifest& files);

inline constexpr uint64_t kMaxManifestBytes = 64 << 20;

// Reads a manifest that is stored as a blob. Errors that stay the same on every read: NOT_FOUND (BLOB_NOT_FOUND), DATA_LOSS
// (its bytes have another digest), and INVALID_ARGUMENT (the blob is not a manifest). Others are of the disk.
absl::StatusOr<muster::v1::FileManifest> ReadManifestBlob(const BlobStore& blobs, const std::string& digest);

// A scratch folder in which the manifest's files are links to the blobs. FAILED_PRECONDITION names a file whose blob
// is not stored.
absl::StatusOr<ScratchFolder> LayOut(const BlobStore& blobs, const muster::v1::FileManifest& files,
                                     const std::filesystem::path& scratch);

// The tokenizer's files: tokenizer.json or the files that replace it, and the configuration files next to it. INVALID_ARGUMENT
// if there are none.
absl::StatusOr<muster::v1::FileManifest> TokenizerFiles(const muster::v1::FileManifest& files);
// Reads tokenizer.json, or vocab.txt, or a SentencePiece model: the first that exists.
absl::StatusOr<std::shared_ptr<const Tokenizer>> LoadTokenizer(const BlobStore& blobs,
                                                               const muster::v1::FileManifest& files);
// The tokenizer with this digest, as a job uses it. FAILED_PRECONDITION if the files give another one. A job submitted to a
// version that read only vocab.txt keeps the ids that it began with.
absl::StatusOr<std::shared_ptr<const Tokenizer>> LoadTokenizer(const BlobStore& blobs,
                                                               const muster::v1::FileManifest& files,
                                                               const std::string& digest);

// The configuration of the model that `spec` names: that of its stored folder, or of the preset where `model` is null.
// `vocabulary_size`: the tokenizer's, for a preset.
absl::StatusOr<EncoderConfig> ReadConfig(const BlobStore& blobs, const muster::v1::ModelSpec& spec,
                                         const muster::v1::FileManifest* model, uint32_t vocabulary_size,
                                         const std::filesystem::path& scratch);

// The configuration that a checkpoint of another job has as a model: that of its job's export. `base`: the folder from which
// the chain's first job trained; null: a preset.
absl::StatusOr<EncoderConfig> ReadConfig(const BlobStore& blobs, const muster::v1::ModelCheckpoint& checkpoint,
                                         const muster::v1::FileManifest* base, const std::filesystem::path& scratch);

// Checks a model laid out as a folder, or only a vocabulary (a folder without config.json): configuration, tensors,
// vocabulary. Fills in everything except name, manifest and time.
absl::StatusOr<muster::v1::Model> CheckModel(const BlobStore& blobs, const muster::v1::FileManifest& files,
                                             const std::filesystem::path& scratch);

}  // namespace muster
