// Mark and sweep over everything that the data server stores. Marked is what names refer to, and what the coordinator
// says that jobs need. Everything else that was not used for a while is removed.
//
// Names and jobs may appear while a sweep runs. That is safe: everything that is about to refer to something makes it
// as new as something just stored (BlobStore::Stat and Touch, DatasetShelf::Open and Publish), the sweep reads the
// names after it has chosen its candidates, and a candidate that became newer meanwhile stays (…UnlessUsedSince).
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/data/service/data_stores.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "muster/v1/garbage.pb.h"

namespace muster {

inline constexpr absl::Duration kLeastUnused = absl::Hours(1);
inline constexpr absl::Duration kPartialLife = absl::Hours(24 * 7);  // of unfinished uploads: they can be resumed

// FAILED_PRECONDITION (OLD_COORDINATOR): this data server has seen a newer coordinator. UNAVAILABLE: a backup runs.
// INVALID_ARGUMENT: less than kLeastUnused. DATA_LOSS: something that is needed is damaged; then nothing is removed.
class Sweep {
 public:
  struct Candidate {
    muster::v1::GarbageItem item;
    std::function<absl::StatusOr<bool>()> remove;  // true: it was removed
  };

  static absl::StatusOr<std::unique_ptr<Sweep>> Begin(DataStores& stores,
                                                      const muster::internal::v1::SweepRequest& request,
                                                      absl::Time now);  // chooses what is old enough
  absl::Status Mark();                                                  // leaves out what is needed
  bool done() const { return next_ == candidates_.size(); }
  size_t visited() const { return next_; }
  size_t candidates() const { return candidates_.size(); }
  uint64_t bytes() const;  // removed so far
  absl::Status RemoveNext();
  absl::StatusOr<muster::internal::v1::SweepResponse> Finish();

 private:
  Sweep(DataStores& stores, const muster::internal::v1::SweepRequest& request, absl::Time now)
      : stores_(stores), request_(request), now_(now) {}

  DataStores& stores_;
  const muster::internal::v1::SweepRequest request_;
  const absl::Time now_;
  RemovalGate::Pass pass_;
  std::vector<Candidate> candidates_;
  size_t next_ = 0;
  std::vector<muster::v1::GarbageItem> gone_;
  muster::internal::v1::SweepResponse response_;
};

// Called before each candidate is removed: how many of them are done, and their bytes. An error ends the sweep.
using SweepStep = std::function<absl::Status(size_t done, size_t total, uint64_t bytes)>;

// All of it.
absl::StatusOr<muster::internal::v1::SweepResponse> SweepStores(DataStores& stores,
                                                                const muster::internal::v1::SweepRequest& request,
                                                                absl::Time now, const SweepStep& before_each = {});

// Digests of all blobs that models with a name are made of.
absl::StatusOr<std::set<std::string>> BlobsOfModels(const DataStores& stores);

}  // namespace muster
