// DataService.ShowDataset: a few queries of a dataset with their judgments, to look at.
#pragma once

#include "absl/status/statusor.h"
#include "coordinator/data/service/data_stores.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Queries that the split judges, in the order of a permutation keyed by `seed`: two calls with one seed show the same
// queries, and a larger sample begins with the smaller one. The answer stays below 4 MiB: a text above its share of
// that is cut at a character and ends with "…". NOT_FOUND names the dataset or the query; INVALID_ARGUMENT a split that
// the dataset does not have.
absl::StatusOr<muster::v1::ShowDatasetResponse> ShowDataset(const DataStores& stores,
                                                            const muster::v1::ShowDatasetRequest& request);

}  // namespace muster
