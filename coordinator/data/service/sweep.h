// Mark and sweep over everything that the data server stores. Everything that names refer to, or that jobs need according to
// the coordinator, is marked. Everything else that was not used for a while is removed.
//
// Names and jobs may appear while a sweep runs. That is safe: everything that is about to refer to something makes it
// as new as something just stored (BlobStore::Stat and Touch, DatasetShelf::Open and Publish), the sweep reads the
// names after it has chosen its candidates, and a candidate that became newer meanwhile stays (…UnlessUsedSince).
//
// A manifest that can never be read again does not hold up the rest (needed_blobs.h). One that cannot be read now might
// name any blob, so the sweep removes no blobs then, and does the rest.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/data/service/data_stores.h"
#include "coordinator/data/service/needed_blobs.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "muster/v1/garbage.pb.h"

namespace muster {

inline constexpr absl::Duration kLeastUnused = absl::Hours(1);
inline constexpr absl::Duration kPartialLife = absl::Hours(24 * 7);  // of unfinished uploads, which can be resumed

struct SweepResult {
  muster::internal::v1::SweepResponse response;
  std::vector<LostManifest> lost;  // that names or jobs refer to
  absl::Status blobs;              // not OK: no blobs were removed, because this manifest cannot be read now
};

// FAILED_PRECONDITION (OLD_COORDINATOR): this data server has seen a newer coordinator. UNAVAILABLE: a backup runs.
// INVALID_ARGUMENT: less than kLeastUnused.
//
// Memory: about 100 bytes per stored item that is old enough, and 64 per root.
class Sweep {
 public:
  // Chooses the candidates that are old enough. Uses the request's roots, but not its field `last`.
  static absl::StatusOr<std::unique_ptr<Sweep>> Begin(DataStores& stores,
                                                      const muster::internal::v1::SweepRequest& request,
                                                      absl::Time now);
  void AddRoots(const muster::internal::v1::SweepRequest& request);
  absl::Status Mark();  // removes needed items from the candidates
  bool done() const { return next_ == candidates_.size(); }
  size_t visited() const { return next_; }
  size_t candidates() const { return candidates_.size(); }
  uint64_t bytes() const;  // removed so far
  absl::Status RemoveNext();
  absl::StatusOr<SweepResult> Finish();

 private:
  enum class Kind { kBlob, kDataset, kTokens, kUpload };
  static muster::v1::GarbageCategory CategoryOf(Kind kind);
  struct Candidate {
    Kind kind;
    DigestSet::Digest digest = {};  // of a blob, a dataset, or the dataset that tokens are of
    std::string name;    // of tokens and uploads: of their file
    uint64_t bytes = 0;
    absl::Time used;
    std::string id() const;
  };

  Sweep(DataStores& stores, const muster::internal::v1::SweepRequest& request, absl::Time now)
      : stores_(stores), now_(now), before_(now - absl::Seconds(request.unused_seconds())), dry_run_(request.dry_run()) {}
  absl::Status Choose();
  absl::Status AddNeededBlobs();
  absl::Status SetDamagedManifestsAside();
  bool IsNeeded(const Candidate& candidate) const;
  absl::StatusOr<bool> Remove(const Candidate& candidate);

  DataStores& stores_;
  const absl::Time now_, before_;
  const bool dry_run_;
  RemovalGate::Pass pass_;
  DigestSet manifests_, datasets_;  // needed
  NeededBlobs blobs_;
  absl::Status blobs_status_;  // not OK: it is not known which blobs are needed
  std::vector<Candidate> candidates_;
  size_t next_ = 0;
  std::vector<Candidate> largest_;  // of the removed items, by size
  struct Total {
    uint64_t count = 0, bytes = 0;
  };
  std::map<Kind, Total> gone_;
};

// Called before each candidate is removed: how many have been removed, and their bytes. An error ends the sweep.
using SweepStep = std::function<absl::Status(size_t done, size_t total, uint64_t bytes)>;

// Runs a whole sweep. If `first` is not the last request, `next` returns the others. CANCELLED if it ends before the last one:
// then nothing is removed.
using NextSweepRequest = std::function<bool(muster::internal::v1::SweepRequest&)>;
absl::StatusOr<SweepResult> SweepStores(DataStores& stores, const muster::internal::v1::SweepRequest& first,
                                        const NextSweepRequest& next, absl::Time now, const SweepStep& before_each = {});

}  // namespace muster
