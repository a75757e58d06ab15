#include "coordinator/data/service/sweep.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
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

// A coordinator that lost its state knows no jobs, and would treat everything that they need as garbage.
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

using Candidate = Sweep::Candidate;

GarbageItem Item(muster::v1::GarbageCategory category, const std::string& id, uint64_t bytes, absl::Time used) {
  GarbageItem item;
  SetCategory(category, item);
  item.set_id(id);
  item.set_bytes(bytes);
  item.mutable_last_used()->set_seconds(absl::ToUnixSeconds(used));
  return item;
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

absl::StatusOr<std::vector<Candidate>> FindUnused(DataStores& stores, absl::Time before, absl::Time now) {
  std::vector<Candidate> found;
  ASSIGN_OR_RETURN(const std::vector<StoredBlob> blobs, stores.blobs->List());
  for (const StoredBlob& blob : blobs) {
    if (blob.stored >= before) continue;
    found.push_back({Item(muster::v1::GARBAGE_CATEGORY_BLOBS, blob.digest, blob.size, blob.stored), [&stores, digest = blob.digest, before] {
                       return stores.blobs->DeleteUnlessUsedSince(digest, before);
                     }});
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> datasets, stores.shelf->NotUsedSince(before));
  for (const std::string& digest : datasets) {
    const FolderFacts facts = FactsOf(stores.state->datasets() / digest);
    found.push_back({Item(muster::v1::GARBAGE_CATEGORY_DATASETS, digest, facts.bytes, facts.used),
                     [&stores, digest, before] { return stores.shelf->RemoveUnlessUsedSince(digest, before); }});
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(stores.state->tokens(), error)) {
    const FolderFacts facts = FactsOf(entry.path());
    if (!entry.is_regular_file(error) || facts.used >= before) continue;
    found.push_back({Item(muster::v1::GARBAGE_CATEGORY_TOKENS, entry.path().filename().string(), entry.file_size(error), facts.used),
                     [path = entry.path()] { return unlink(path.c_str()) == 0; }});
  }
  ASSIGN_OR_RETURN(const std::vector<StoredBlob> partials, stores.blobs->PartialsBefore(now - kPartialLife));
  for (const StoredBlob& upload : partials) {
    found.push_back({Item(muster::v1::GARBAGE_CATEGORY_UPLOADS, upload.digest, upload.size, upload.stored), nullptr});
  }
  return found;
}

struct Needed {
  std::set<std::string> blobs, datasets;
};

absl::Status AddManifest(const DataStores& stores, const std::string& digest, std::set<std::string>& blobs) {
  if (!blobs.insert(digest).second) return absl::OkStatus();
  const absl::StatusOr<muster::v1::FileManifest> files = ReadManifestBlob(*stores.blobs, digest);
  if (absl::IsNotFound(files.status())) return absl::OkStatus();  // nothing of it is stored here
  RETURN_IF_ERROR(WithContext(files.status(), "a manifest that jobs need"));
  for (const muster::v1::FileEntry& file : files->files()) blobs.insert(file.digest());
  return absl::OkStatus();
}

absl::StatusOr<Needed> FindNeeded(const DataStores& stores, const SweepRequest& request) {
  Needed needed;
  ASSIGN_OR_RETURN(needed.blobs, BlobsOfModels(stores));
  for (const std::string& digest : request.manifests()) RETURN_IF_ERROR(AddManifest(stores, digest, needed.blobs));
  needed.blobs.insert(request.blobs().begin(), request.blobs().end());
  ASSIGN_OR_RETURN(const auto datasets, stores.catalogue->ListDatasets());
  for (const auto& dataset : datasets) needed.datasets.insert(dataset.digest());
  needed.datasets.insert(request.datasets().begin(), request.datasets().end());
  return needed;
}

bool IsNeeded(const GarbageItem& item, const Needed& needed) {
  if (item.category() == muster::v1::GARBAGE_CATEGORY_BLOBS) return needed.blobs.contains(item.id());
  if (item.category() == muster::v1::GARBAGE_CATEGORY_DATASETS) return needed.datasets.contains(item.id());
  if (item.category() == muster::v1::GARBAGE_CATEGORY_TOKENS) {
    return needed.datasets.contains(item.id().substr(0, kDigestLength));
  }
  return false;
}

void Count(const GarbageItem& item, SweepResponse& response) {
  muster::v1::GarbageKind* kind = nullptr;
  for (muster::v1::GarbageKind& known : *response.mutable_kinds()) {
    if (known.category() == item.category()) kind = &known;
  }
  if (kind == nullptr) {
    kind = response.add_kinds();
    SetCategory(item.category(), *kind);
  }
  kind->set_count(kind->count() + 1);
  kind->set_bytes(kind->bytes() + item.bytes());
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
  ASSIGN_OR_RETURN(sweep->candidates_, FindUnused(stores, now - unused, now));
  return sweep;
}

absl::Status Sweep::Mark() {
  ASSIGN_OR_RETURN(const Needed needed, FindNeeded(stores_, request_));
  std::erase_if(candidates_, [&](const Candidate& candidate) { return IsNeeded(candidate.item, needed); });
  return absl::OkStatus();
}

absl::Status Sweep::RemoveNext() {
  Candidate& candidate = candidates_[next_++];
  if (!request_.dry_run() && candidate.remove != nullptr) {
    ASSIGN_OR_RETURN(const bool removed, candidate.remove());
    if (!removed) return absl::OkStatus();
  }
  Count(candidate.item, response_);
  gone_.push_back(std::move(candidate.item));
  return absl::OkStatus();
}

absl::StatusOr<SweepResponse> Sweep::Finish() {
  if (!request_.dry_run()) RETURN_IF_ERROR(stores_.blobs->DropPartialsBefore(now_ - kPartialLife));
  std::stable_sort(gone_.begin(), gone_.end(),
                   [](const GarbageItem& a, const GarbageItem& b) { return a.bytes() > b.bytes(); });
  for (size_t i = 0; i < gone_.size() && i < kLargest; ++i) *response_.add_largest() = gone_[i];
  return std::move(response_);
}

uint64_t Sweep::bytes() const {
  uint64_t bytes = 0;
  for (const muster::v1::GarbageKind& kind : response_.kinds()) bytes += kind.bytes();
  return bytes;
}

absl::StatusOr<SweepResponse> SweepStores(DataStores& stores, const SweepRequest& request, absl::Time now,
                                          const SweepStep& before_each) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Sweep> sweep, Sweep::Begin(stores, request, now));
  RETURN_IF_ERROR(sweep->Mark());
  while (!sweep->done()) {
    if (before_each) RETURN_IF_ERROR(before_each(sweep->visited(), sweep->candidates(), sweep->bytes()));
    RETURN_IF_ERROR(sweep->RemoveNext());
  }
  return sweep->Finish();
}

}  // namespace muster
