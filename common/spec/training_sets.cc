#include "common/spec/training_sets.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::DataSpec;
using muster::v1::TrainingSet;

constexpr const char* kDefaultTrainingSplit = "train";

absl::Status WrongSet(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", what));
}

absl::Status CheckNameOfSet(absl::string_view field, const std::string& name) {
  if (IsValidName(name)) return absl::OkStatus();
  return WrongSet(field, absl::StrCat("\"", name,
                                      "\" is not a valid name. Use 1 to 63 of a-z 0-9 . _ -, a letter or digit first."));
}

std::string FieldOfSet(size_t index, const char* field) { return absl::StrCat("data.sets[", index, "].", field); }

absl::Status CheckSets(const DataSpec& data) {
  if (data.sets_size() > kMaxTrainingSets) {
    return WrongSet("data.sets", absl::StrCat("has ", data.sets_size(), " sets, at most ", kMaxTrainingSets,
                                              " are taken. Merge some of them with muster data add."));
  }
  if (!data.train().empty()) {
    return WrongSet("data.train", "excludes data.sets. Remove it, or make it one of the sets.");
  }
  if (!data.split().empty()) {
    return WrongSet("data.split", "has no effect together with data.sets. Set the split of each set there.");
  }
  std::map<std::pair<std::string, std::string>, int> first;
  for (int i = 0; i < data.sets_size(); ++i) {
    const TrainingSet& set = data.sets(i);
    if (set.dataset().empty()) return WrongSet(FieldOfSet(i, "dataset"), "is missing. Name an imported dataset.");
    RETURN_IF_ERROR(CheckNameOfSet(FieldOfSet(i, "dataset"), set.dataset()));
    RETURN_IF_ERROR(CheckNameOfSet(FieldOfSet(i, "split"), set.split()));
    const auto [known, is_new] = first.emplace(std::pair(set.dataset(), set.split()), i);
    if (is_new) continue;
    return WrongSet(absl::StrCat("data.sets[", i, "]"),
                    absl::StrCat("is split \"", set.split(), "\" of dataset \"", set.dataset(), "\", as data.sets[",
                                 known->second, "] is. Remove one of them, and set the other's weight."));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<TrainingSet> TrainingSetsOf(const DataSpec& data) {
  std::vector<TrainingSet> sets(data.sets().begin(), data.sets().end());
  for (TrainingSet& set : sets) {
    if (!set.has_weight()) set.set_weight(1);
  }
  if (data.train().empty()) return sets;
  TrainingSet& only = sets.emplace_back();
  only.set_dataset(data.train());
  only.set_split(data.split());
  only.set_weight(1);
  return sets;
}

std::vector<std::string> TrainingDatasetsOf(const muster::v1::ResolvedJob& resolved) {
  if (!resolved.train_dataset().empty()) return {resolved.train_dataset()};
  return {resolved.train_datasets().begin(), resolved.train_datasets().end()};
}

DataSpec DataOfTrainingSet(const DataSpec& data, size_t index) {
  DataSpec own = data;
  if (data.sets().empty()) return own;
  own.clear_sets();
  own.clear_homogeneous_batches();
  own.set_train(data.sets(static_cast<int>(index)).dataset());
  own.set_split(data.sets(static_cast<int>(index)).split());
  return own;
}

std::string TrainingDatasetField(const DataSpec& data, size_t index) {
  return data.sets().empty() ? "data.train" : FieldOfSet(index, "dataset");
}

std::string TrainingSplitField(const DataSpec& data, size_t index) {
  return data.sets().empty() ? "data.split" : FieldOfSet(index, "split");
}

std::string TrainingSetsText(const DataSpec& data) {
  return absl::StrJoin(TrainingSetsOf(data), ", ", [](std::string* out, const TrainingSet& set) {
    absl::StrAppend(out, set.dataset(), "/", set.split());
    if (set.weight() != 1) absl::StrAppend(out, " x ", set.weight());
  });
}

void FillTrainingSets(DataSpec& data) {
  if (data.sets().empty()) {
    if (data.split().empty()) data.set_split(kDefaultTrainingSplit);
    return;
  }
  for (TrainingSet& set : *data.mutable_sets()) {
    if (set.split().empty()) set.set_split(kDefaultTrainingSplit);
    if (!set.has_weight()) set.set_weight(1);
  }
  if (!data.has_homogeneous_batches()) data.set_homogeneous_batches(false);
}

absl::Status CheckTrainingSets(const DataSpec& data, bool trains) {
  if (!data.sets().empty()) return CheckSets(data);
  if (data.homogeneous_batches()) {
    return WrongSet("data.homogeneous_batches", "has no effect without data.sets: all batches are of one set. Remove it.");
  }
  if (data.train().empty()) {
    return trains ? WrongSet("data.train", "is missing. Name an imported dataset.") : absl::OkStatus();
  }
  RETURN_IF_ERROR(CheckNameOfSet("data.train", data.train()));
  return CheckNameOfSet("data.split", data.split());
}

}  // namespace muster
