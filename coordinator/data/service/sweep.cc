#include "coordinator/data/service/sweep.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/garbage_category.h"
#include "common/status.h"

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

std::string Sweep::Candidate::id() const { return name.empty() ? DigestSet::HexOf(digest) : name; }

muster::v1::GarbageCategory Sweep::CategoryOf(Kind kind) {
  switch (kind) {
    case Kind::kBlob: return muster::v1::GARBAGE_CATEGORY_BLOBS;
    case Kind::kDataset: return muster::v1::GARBAGE_CATEGORY_DATASETS;
    case Kind::kTokens: return muster::v1::GARBAGE_CATEGORY_TOKENS;
    case Kind::kUpload: return muster::v1::GARBAGE_CATEGORY_UPLOADS;
  }
  return muster::v1::GARBAGE_CATEGORY_UNSPECIFIED;
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
    candidates_.push_back({Kind::kBlob, *DigestSet::Parse(blob.digest), "", blob.size, blob.stored});
  }));
  ASSIGN_OR_RETURN(const std::vector<std::string> datasets, stores_.shelf->NotUsedSince(before_));
  for (const std::string& digest : datasets) {
    const FolderFacts facts = FactsOf(stores_.state->datasets() / digest);
    candidates_.push_back({Kind::kDataset, *DigestSet::Parse(digest), "", facts.bytes, facts.used});
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(stores_.state->tokens(), error)) {
    const FolderFacts facts = FactsOf(entry.path());
    if (!entry.is_regular_file(error) || facts.used >= before_) continue;
    const std::string name = entry.path().filename().string();
    const auto dataset = DigestSet::Parse(std::string_view(name).substr(0, kDigestLength));
    candidates_.push_back(
        {Kind::kTokens, dataset.value_or(DigestSet::Digest{}), name, entry.file_size(error), facts.used});
  }
  ASSIGN_OR_RETURN(const std::vector<StoredBlob> partials, stores_.blobs->PartialsBefore(now_ - kPartialLife));
  for (const StoredBlob& upload : partials) {
    candidates_.push_back({Kind::kUpload, {}, upload.digest, upload.size, upload.stored});
  }
  return absl::OkStatus();
}

void Sweep::AddRoots(const SweepRequest& request) {
  for (const std::string& digest : request.manifests()) manifests_.Add(digest);
  for (const std::string& digest : request.blobs()) blobs_.digests.Add(digest);
  for (const std::string& digest : request.datasets()) datasets_.Add(digest);
}

absl::Status Sweep::AddNeededBlobs() {
  RETURN_IF_ERROR(AddBlobsOfModels(stores_, blobs_));
  for (const DigestSet::Digest& digest : manifests_) {
    RETURN_IF_ERROR(AddBlobsOfManifest(*stores_.blobs, DigestSet::HexOf(digest), blobs_));
  }
  return absl::OkStatus();
}

// From then on they count as not stored, so that they can be stored again.
absl::Status Sweep::SetDamagedManifestsAside() {
  for (const LostManifest& lost : blobs_.lost) {
    if (!absl::IsDataLoss(lost.status)) continue;
    const absl::StatusOr<bool> aside = stores_.blobs->SetAsideIfDamaged(lost.digest);
    if (absl::IsNotFound(aside.status())) continue;  // somebody else did it
    if (!aside.ok()) return aside.status();
    if (*aside) continue;
    return absl::AbortedError(absl::StrCat("manifest ", lost.digest, ": the disk does not return the same bytes on each read"));
  }
  return absl::OkStatus();
}

absl::Status Sweep::Mark() {
  blobs_status_ = AddNeededBlobs();
  if (!dry_run_) blobs_status_.Update(SetDamagedManifestsAside());
  ASSIGN_OR_RETURN(const auto datasets, stores_.catalogue->ListDatasets());
  for (const auto& dataset : datasets) datasets_.Add(dataset.digest());
  std::erase_if(candidates_, [&](const Candidate& candidate) { return IsNeeded(candidate); });
  return absl::OkStatus();
}

bool Sweep::IsNeeded(const Candidate& candidate) const {
  switch (candidate.kind) {
    case Kind::kBlob:
      return !blobs_status_.ok() || blobs_.digests.Has(candidate.digest);
    case Kind::kDataset:
    case Kind::kTokens:
      return datasets_.Has(candidate.digest);
    case Kind::kUpload:
      return false;
  }
  return true;
}

absl::StatusOr<bool> Sweep::Remove(const Candidate& candidate) {
  switch (candidate.kind) {
    case Kind::kBlob:
      return stores_.blobs->DeleteUnlessUsedSince(candidate.id(), before_);
    case Kind::kDataset:
      return stores_.shelf->RemoveUnlessUsedSince(candidate.id(), before_);
    case Kind::kTokens:
      return unlink((stores_.state->tokens() / candidate.name).c_str()) == 0;
    case Kind::kUpload:
      return true;  // Finish removes them
  }
  return false;
}

absl::Status Sweep::RemoveNext() {
  const Candidate& candidate = candidates_[next_++];
  if (!dry_run_) {
    ASSIGN_OR_RETURN(const bool removed, Remove(candidate));
    if (!removed) return absl::OkStatus();
  }
  Total& total = gone_[candidate.kind];
  ++total.count;
  total.bytes += candidate.bytes;
  const auto place = std::ranges::upper_bound(largest_, candidate.bytes, std::greater<>(), &Candidate::bytes);
  largest_.insert(place, candidate);
  if (largest_.size() > kLargest) largest_.pop_back();
  return absl::OkStatus();
}

absl::StatusOr<SweepResult> Sweep::Finish() {
  if (!dry_run_) RETURN_IF_ERROR(stores_.blobs->DropPartialsBefore(now_ - kPartialLife));
  SweepResult result;
  result.lost = blobs_.lost;
  result.blobs = blobs_status_;
  SweepResponse& response = result.response;
  for (const auto& [kind, total] : gone_) {
    muster::v1::GarbageKind& gone = *response.add_kinds();
    SetCategory(CategoryOf(kind), gone);
    gone.set_count(total.count);
    gone.set_bytes(total.bytes);
  }
  for (const Candidate& candidate : largest_) {
    GarbageItem& item = *response.add_largest();
    SetCategory(CategoryOf(candidate.kind), item);
    item.set_id(candidate.id());
    item.set_bytes(candidate.bytes);
    item.mutable_last_used()->set_seconds(absl::ToUnixSeconds(candidate.used));
  }
  return result;
}

uint64_t Sweep::bytes() const {
  uint64_t bytes = 0;
  for (const auto& [kind, total] : gone_) bytes += total.bytes;
  return bytes;
}

absl::StatusOr<SweepResult> SweepStores(DataStores& stores, const SweepRequest& first, const NextSweepRequest& next,
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
