// The sets that a job trains on: data.sets or, as the only one, data.train.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "muster/v1/job.pb.h"

namespace muster {

// Bounded, because the data server keeps state per set.
inline constexpr int kMaxTrainingSets = 64;

// In the order of the file, each with a weight. Empty: the job names none, so it trains nothing.
std::vector<muster::v1::TrainingSet> TrainingSetsOf(const muster::v1::DataSpec& data);
// Digests, one per training set; two splits of a dataset have the same one. Empty: the job trains nothing.
std::vector<std::string> TrainingDatasetsOf(const muster::v1::ResolvedJob& resolved);

// The data of the separate job that trains on set `index` alone, once per epoch.
muster::v1::DataSpec DataOfTrainingSet(const muster::v1::DataSpec& data, size_t index);

// The fields that name training set `index`: "data.train" and "data.split", or "data.sets[1].dataset" and "data.sets[1].split".
std::string TrainingDatasetField(const muster::v1::DataSpec& data, size_t index);
std::string TrainingSplitField(const muster::v1::DataSpec& data, size_t index);

// "faq/train", "faq/train x 2, clicks/train x 0.5"; empty if there is none. Weights of 1 are left out.
std::string TrainingSetsText(const muster::v1::DataSpec& data);

// Fills in the defaults of data.sets or, if there are none, data.split. Idempotent.
void FillTrainingSets(muster::v1::DataSpec& data);
// INVALID_ARGUMENT with "field.path: what is wrong. What to do." `trains`: whether the job trains, so that it needs a set.
absl::Status CheckTrainingSets(const muster::v1::DataSpec& data, bool trains);

}  // namespace muster
