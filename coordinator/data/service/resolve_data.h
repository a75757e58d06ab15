// The part of resolving a job that concerns its datasets: names become digests, and what a job asks of its data is checked.
// Errors begin with the field of the job. Thread-safe, as the stores are.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/data/service/resolver.h"
#include "muster/v1/job.pb.h"

namespace muster {

// INVALID_ARGUMENT, "field: what".
absl::Status WrongField(absl::string_view field, absl::string_view what);

// The digest of the dataset of `section` (evaluate, report, mine). INVALID_ARGUMENT if its split has no relevant document.
absl::StatusOr<std::string> ResolveEvaluation(DataStores& stores, const std::string& name, const std::string& split,
                                              absl::string_view section);

// The digest of the dataset that is mined. `owner`: the submitter; empty: not known. Fails if the name of the result is taken.
absl::StatusOr<std::string> ResolveMining(DataStores& stores, const muster::v1::MineSpec& mine, const std::string& owner);

// Fills in the training dataset, its queries and the steps, by stage if the job has stages. `given`: the job before defaults
// were filled in. Adds what a user should know to `notes`.
absl::Status ResolveTraining(DataStores& stores, const muster::v1::JobSpec& spec, const muster::v1::JobSpec& given,
                             muster::v1::ResolvedJob& resolved, std::vector<std::string>& notes);

}  // namespace muster
