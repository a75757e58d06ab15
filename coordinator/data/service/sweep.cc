#include "coordinator/data/service/sweep.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/garbage_category.h"
#include "common/status.h"
#include "coordinator/data/blob/model_files.h"

namespace muster {
namespace {

using muster::internal::v1::SweepRequest;
using muster::internal::v1::SweepResponse;
using muster::v1::GarbageItem;

constexpr size_t kLargest = 20;
constexpr size_t kDigestLength = 64;
constexpr char kEpochFile[] = "coordinator_epoch";

// A coordinator that lost its state has no jobs, and would treat everything that they need as garbage.
absl::Status CheckEpoch(const std::filesystem::path& root, uint64_t epoch, bool dry_run) {
  const std::filesystem::path file = root / kEpochFile;
  uint64_t seen = 0;
  const absl::StatusOr<std::string> text = ReadFile(file);
  if (text.ok()) {
    if (!absl::SimpleAtoi(*text, &seen))
      return absl::DataLossError(absl::StrCat(file.string(), ": is not a number. Remove it."));
  } else if (!absl::IsNotFound(text.status())) {
    return text.status();
  }
  if (epoch < seen) {
    return WithReason(
        absl::FailedPreconditionError(absl::StrCat(
            "a coordinator of epoch ", seen, " has been here, this one has epoch ", epoch,
            ": it does not know what jobs need, and nothing is removed. Restore its state from a backup; or, if "
            "its jobs are given up, remove ",
            file.string(), ".")),
        "OLD_COORDINATOR");
  }
  if (epoch == seen || dry_run) return absl::OkStatus();
  return WriteFileAtomically(file, absl::StrCat(epoch));
}

using Digest = std::array<uint8_t, 32>;

std::optional<Digest> DigestOf(std::string_view hex) {
  if (!IsSha256Hex(hex)) return std::nullopt;
  const std::string bytes = absl::HexStringToBytes(absl::string_view(hex.data(), hex.size()));
  Digest digest;
  std::copy_n(bytes.begin(), digest.size(), digest.begin());
  return digest;
}
std::string HexOf(const Digest& digest) {
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

struct FolderFacts {
  uint64_t bytes = 0;
  absl::Time used;
};
FolderFacts FactsOf(const std::filesystem::path& folder) {
  FolderFacts facts;
  struct stat info {};
  if (stat(folder.c_str(), &info) == 0) facts.used = absl::TimeFromTimespec(info.st_mtim);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) facts.bytes += entry.file_size(error);
  return facts;
}

}  // namespace

absl::StatusOr<std::set<std::string>> BlobsOfModels(const DataStores& stores) {
  std::set<std::string> kept;
  ASSIGN_OR_RETURN(const auto models, stores.catalogue->ListModels());
  for (const muster::v1::Model& model : models) {
    kept.insert(model.manifest());
    ASSIGN_OR_RETURN(const muster::v1::FileManifest files, ReadManifestBlob(*stores.blobs, model.manifest()));
    for (const muster::v1::FileEntry& file : files.files()) kept.insert(file.digest());
    ASSIGN_OR_RETURN(const muster::v1::FileManifest tokenizer, TokenizerFiles(files));
    ASSIGN_OR_RETURN(const NamedManifest manifest, CanonicalManifest(tokenizer));
    kept.insert(manifest.digest);
  }
  return kept;
}

std::string Sweep::Candidate::id() const { return name.empty() ? HexOf(digest) : name; }

void Sweep::Add(std::string_view digest, Digests& digests) {
  if (const auto bytes = DigestOf(digest); bytes.has_value()) digests.insert(*bytes);  // blobs have no other names
}

absl::StatusOr<std::unique_ptr<Sweep>> Sweep::Begin(DataStores& stores, const SweepRequest& request, absl::Time now) {
  const absl::Duration unused = absl::Seconds(request.unused_seconds());
  if (unused < kLeastUnused) {
    return absl::InvalidArgumentError(absl::StrCat("sweep: unused for ", absl::FormatDuration(unused),
                                                   " is too short, at least ", absl::FormatDuration(kLeastUnused)));
  }
  RETURN_IF_ERROR(CheckEpoch(stores.state->catalogue().parent_path(), request.epoch(), request.dry_run()));
  std::unique_ptr<Sweep> sweep(new Sweep(stores, request, now));
  if (!request.dry_run()) {
    ASSIGN_OR_RETURN(sweep->pass_, stores.removals.BeginRemoval());
  }
  RETURN_IF_ERROR(sweep->Choose());
  sweep->AddRoots(request);
  return sweep;
}

absl::Status Sweep::Choose() {
  RETURN_IF_ERROR(stores_.blobs->Visit([&](const StoredBlob& blob) {
    if (blob.stored >= before_) return;
    candidates_.push_back({muster::v1::GARBAGE_CATEGORY_BLOBS, *DigestOf(blob.digest), "", blob.size, blob.stored});
  }));
  ASSIGN_OR_RETURN(const std::vector<std::string> datasets, stores_.shelf->NotUsedSince(before_));
  for (const std::string& digest : datasets) {
    const FolderFacts facts = FactsOf(stores_.state->datasets() / digest);
    candidates_.push_back({muster::v1::GARBAGE_CATEGORY_DATASETS, *DigestOf(digest), "", facts.bytes, facts.used});
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(stores_.state->tokens(), error)) {
    const FolderFacts facts = FactsOf(entry.path());
    if (!entry.is_regular_file(error) || facts.used >= before_) continue;
    const std::string name = entry.path().filename().string();
    candidates_.push_back({muster::v1::GARBAGE_CATEGORY_TOKENS, DigestOf(name.substr(0, kDigestLength)).value_or(Digest{}), name,
                           entry.file_size(error), facts.used});
  }
  ASSIGN_OR_RETURN(const std::vector<StoredBlob> partials, stores_.blobs->PartialsBefore(now_ - kPartialLife));
  for (const StoredBlob& upload : partials) {
    candidates_.push_back({muster::v1::GARBAGE_CATEGORY_UPLOADS, {}, upload.digest, upload.size, upload.stored});
  }
  return absl::OkStatus();
}

void Sweep::AddRoots(const SweepRequest& request) {
  for (const std::string& digest : request.manifests()) Add(digest, manifests_);
  for (const std::string& digest : request.blobs()) Add(digest, blobs_);
  for (const std::string& digest : request.datasets()) Add(digest, datasets_);
}

absl::Status Sweep::AddFilesOfManifests() {
  for (const Digest& digest : manifests_) {
    blobs_.insert(digest);
    const absl::StatusOr<muster::v1::FileManifest> files = ReadManifestBlob(*stores_.blobs, HexOf(digest));
    if (absl::IsNotFound(files.status())) continue;  // the manifest is not stored here
    RETURN_IF_ERROR(WithContext(files.status(), "a manifest that jobs need"));
    for (const muster::v1::FileEntry& file : files->files()) Add(file.digest(), blobs_);
  }
  return absl::OkStatus();
}

absl::Status Sweep::Mark() {
  ASSIGN_OR_RETURN(const std::set<std::string> of_models, BlobsOfModels(stores_));
  for (const std::string& digest : of_models) Add(digest, blobs_);
  RETURN_IF_ERROR(AddFilesOfManifests());
  ASSIGN_OR_RETURN(const auto datasets, stores_.catalogue->ListDatasets());
  for (const auto& dataset : datasets) Add(dataset.digest(), datasets_);
  std::erase_if(candidates_, [&](const Candidate& candidate) { return IsNeeded(candidate); });
  return absl::OkStatus();
}

bool Sweep::IsNeeded(const Candidate& candidate) const {
  switch (candidate.category) {
    case muster::v1::GARBAGE_CATEGORY_BLOBS:
      return blobs_.contains(candidate.digest);
    case muster::v1::GARBAGE_CATEGORY_DATASETS:
    case muster::v1::GARBAGE_CATEGORY_TOKENS:
      return datasets_.contains(candidate.digest);
    case muster::v1::GARBAGE_CATEGORY_UPLOADS:
      return false;
    case muster::v1::GARBAGE_CATEGORY_JOBS:
    case muster::v1::GARBAGE_CATEGORY_LOGS:
    case muster::v1::GARBAGE_CATEGORY_UNSPECIFIED:
    case muster::v1::GarbageCategory_INT_MIN_SENTINEL_DO_NOT_USE_:
    case muster::v1::GarbageCategory_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return true;  // other categories are never candidates
}

absl::StatusOr<bool> Sweep::Remove(const Candidate& candidate) {
  switch (candidate.category) {
    case muster::v1::GARBAGE_CATEGORY_BLOBS:
      return stores_.blobs->DeleteUnlessUsedSince(candidate.id(), before_);
    case muster::v1::GARBAGE_CATEGORY_DATASETS:
      return stores_.shelf->RemoveUnlessUsedSince(candidate.id(), before_);
    case muster::v1::GARBAGE_CATEGORY_TOKENS:
      return unlink((stores_.state->tokens() / candidate.name).c_str()) == 0;
    case muster::v1::GARBAGE_CATEGORY_UPLOADS:
      return true;  // Finish removes them
    case muster::v1::GARBAGE_CATEGORY_JOBS:
    case muster::v1::GARBAGE_CATEGORY_LOGS:
    case muster::v1::GARBAGE_CATEGORY_UNSPECIFIED:
    case muster::v1::GarbageCategory_INT_MIN_SENTINEL_DO_NOT_USE_:
    case muster::v1::GarbageCategory_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return false;
}

absl::Status Sweep::RemoveNext() {
  const Candidate& candidate = candidates_[next_++];
  if (!dry_run_) {
    ASSIGN_OR_RETURN(const bool removed, Remove(candidate));
    if (!removed) return absl::OkStatus();
  }
  Total& total = gone_[candidate.category];
  ++total.count;
  total.bytes += candidate.bytes;
  const auto place = std::ranges::upper_bound(largest_, candidate.bytes, std::greater<>(), &Candidate::bytes);
  largest_.insert(place, candidate);
  if (largest_.size() > kLargest) largest_.pop_back();
  return absl::OkStatus();
}

absl::StatusOr<SweepResponse> Sweep::Finish() {
  if (!dry_run_) RETURN_IF_ERROR(stores_.blobs->DropPartialsBefore(now_ - kPartialLife));
  SweepResponse response;
  for (const auto& [category, total] : gone_) {
    muster::v1::GarbageKind& kind = *response.add_kinds();
    SetCategory(category, kind);
    kind.set_count(total.count);
    kind.set_bytes(total.bytes);
  }
  for (const Candidate& candidate : largest_) {
    GarbageItem& item = *response.add_largest();
    SetCategory(candidate.category, item);
    item.set_id(candidate.id());
    item.set_bytes(candidate.bytes);
    item.mutable_last_used()->set_seconds(absl::ToUnixSeconds(candidate.used));
  }
  return response;
}

uint64_t Sweep::bytes() const {
  uint64_t bytes = 0;
  for (const auto& [category, total] : gone_) bytes += total.bytes;
  return bytes;
}

absl::StatusOr<SweepResponse> SweepStores(DataStores& stores, const SweepRequest& first, const NextSweepRequest& next,
                                          absl::Time now, const SweepStep& before_each) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Sweep> sweep, Sweep::Begin(stores, first, now));
  SweepRequest request;
  for (bool last = first.last(); !last; last = request.last()) {
    request.Clear();
    if (!next(request)) return absl::CancelledError("the client has gone before it named all that jobs need");
    sweep->AddRoots(request);
  }
  RETURN_IF_ERROR(sweep->Mark());
  while (!sweep->done()) {
    if (before_each) RETURN_IF_ERROR(before_each(sweep->visited(), sweep->candidates(), sweep->bytes()));
    RETURN_IF_ERROR(sweep->RemoveNext());
  }
  return sweep->Finish();
}

}  // namespace muster
