#include "coordinator/data/service/needed_blobs.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/small_file.h"
#include "common/status.h"
#include "coordinator/data/blob/model_files.h"

namespace muster {
namespace {

using muster::v1::FileManifest;

constexpr size_t kHexLength = 64;

// Whether reading it again cannot help.
bool IsLost(const absl::Status& status) {
  return ReasonOf(status) == "BLOB_NOT_FOUND" || absl::IsDataLoss(status) || absl::IsInvalidArgument(status);
}

bool IsHexDigit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

// Adds what looks like a digest: a damaged manifest still contains most of its entries. A run longer than a digest has a
// damaged byte before or after the digest.
void AddDigestsIn(std::string_view bytes, DigestSet& digests) {
  size_t run = 0;
  for (size_t i = 0; i <= bytes.size(); ++i) {
    if (i < bytes.size() && IsHexDigit(bytes[i])) {
      ++run;
      continue;
    }
    if (run >= kHexLength) {
      digests.Add(bytes.substr(i - run, kHexLength));
      digests.Add(bytes.substr(i - kHexLength, kHexLength));
    }
    run = 0;
  }
}

// The bytes that are left of a lost manifest, perhaps where they were set aside. NOT_FOUND: none.
absl::StatusOr<std::string> WhatIsLeft(const BlobStore& blobs, const std::string& digest) {
  const absl::StatusOr<std::filesystem::path> path = blobs.PathOf(digest);
  if (!path.ok() && ReasonOf(path.status()) != "BLOB_NOT_FOUND") return path.status();
  absl::StatusOr<std::string> bytes = ReadSmallFile(path.ok() ? *path : blobs.AsideOf(digest), kMaxManifestBytes);
  if (absl::IsInvalidArgument(bytes.status())) return std::string();  // larger than any manifest
  return bytes;
}

// The manifest's files; none if it is lost.
absl::StatusOr<std::optional<FileManifest>> AddFiles(const BlobStore& blobs, const std::string& digest,
                                                     const std::string& owner, NeededBlobs& needed) {
  needed.digests.Add(digest);
  absl::StatusOr<FileManifest> files = ReadManifestBlob(blobs, digest);
  if (files.ok()) {
    for (const muster::v1::FileEntry& file : files->files()) needed.digests.Add(file.digest());
    return *std::move(files);
  }
  const auto context = [&](const absl::Status& status) {
    return WithContext(status, absl::StrCat(owner.empty() ? "jobs" : owner, ": manifest ", digest));
  };
  if (!IsLost(files.status())) return context(files.status());
  const absl::StatusOr<std::string> left = WhatIsLeft(blobs, digest);
  if (!left.ok() && !absl::IsNotFound(left.status())) return context(left.status());
  if (left.ok()) AddDigestsIn(*left, needed.digests);
  // A checkpoint may have been dropped and deleted after the coordinator named it.
  if (!left.ok() && owner.empty()) return std::nullopt;
  needed.lost.push_back({digest, owner, files.status()});
  return std::nullopt;
}

}  // namespace

std::optional<DigestSet::Digest> DigestSet::Parse(std::string_view hex) {
  if (!IsSha256Hex(hex)) return std::nullopt;
  const std::string bytes = absl::HexStringToBytes(absl::string_view(hex.data(), hex.size()));
  Digest digest;
  std::copy_n(bytes.begin(), digest.size(), digest.begin());
  return digest;
}

std::string DigestSet::HexOf(const Digest& digest) {
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

void DigestSet::Add(std::string_view hex) {
  if (const auto digest = Parse(hex); digest.has_value()) digests_.insert(*digest);
}

bool DigestSet::Has(std::string_view hex) const {
  const auto digest = Parse(hex);
  return digest.has_value() && digests_.contains(*digest);
}

std::string DescribeLost(const LostManifest& lost) {
  const std::string what = lost.owner.empty()
                               ? absl::StrCat("a manifest that jobs refer to, ", lost.digest)
                               : absl::StrCat("the manifest of ", lost.owner, ", ", lost.digest);
  return absl::StrCat(what, ", can never be read (", std::string(lost.status.message()), "). ",
                      lost.owner.empty() ? "Restore a backup of the data server, or delete the jobs."
                                         : "Push the model again, restore a backup, or delete it.");
}

absl::Status AddBlobsOfManifest(const BlobStore& blobs, const std::string& digest, NeededBlobs& needed) {
  return AddFiles(blobs, digest, /*owner=*/"", needed).status();
}

absl::Status AddBlobsOfModels(const DataStores& stores, NeededBlobs& needed) {
  ASSIGN_OR_RETURN(const auto models, stores.catalogue->ListModels());
  for (const muster::v1::Model& model : models) {
    ASSIGN_OR_RETURN(const std::optional<FileManifest> files,
                     AddFiles(*stores.blobs, model.manifest(), absl::StrCat("model ", model.name()), needed));
    if (!files.has_value()) continue;
    const absl::StatusOr<FileManifest> tokenizer = TokenizerFiles(*files);
    if (!tokenizer.ok()) continue;  // no job can resolve it
    if (const auto manifest = CanonicalManifest(*tokenizer); manifest.ok()) needed.digests.Add(manifest->digest);
  }
  return absl::OkStatus();
}

}  // namespace muster
