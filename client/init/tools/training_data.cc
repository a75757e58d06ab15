// Arguments that name the training data, and how batches are drawn from several sets.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/init/argument_values.h"
#include "client/init/tools/handlers.h"
#include "common/status.h"

namespace muster {
namespace {

absl::Status SeveralDatasets(Translator& job, const Argument& argument) {
  std::vector<std::string> names;
  for (const std::string& value : argument.values) {
    const std::string name = NameFrom(value, "data");
    if (std::ranges::find(names, name) != names.end()) {
      return absl::InvalidArgumentError(absl::StrCat("two of them would have the name ", name, ": import each under its own "
                                                     "name, and list these in data.sets"));
    }
    names.push_back(name);
  }
  const std::string sets = absl::StrJoin(names, ", ", [](std::string* out, const std::string& name) {
    absl::StrAppend(out, "{dataset: ", YamlScalar(name), "}");
  });
  return job.SetFrom(argument, "data.sets", absl::StrCat("[", sets, "]"), "muster data import each of them");
}

absl::Status TrainingData(Translator& job, const Argument& argument) {
  const bool several = argument.values.size() > 1;
  if (job.draft().Has("data.sets") || (several && job.draft().Has("data.train"))) {
    return absl::InvalidArgumentError("another argument names the training data: list all of it in data.sets");
  }
  if (several) return SeveralDatasets(job, argument);
  const std::string name = NameFrom(ValueOf(argument), "data");
  if (job.draft().Has("data.train")) {
    return job.Harmless(argument, absl::StrCat("import it: muster data import ", job.draft().ValueOf("data.train"), " PATH"));
  }
  return job.SetFrom(argument, "data.train", YamlScalar(name), absl::StrCat("muster data import ", name, " PATH"));
}

// Whether the tool's arguments name several datasets. Its other arguments may come first.
bool HasSeveralSets(const Translator& job) {
  for (const char* key : {"train_data", "dataset", "dataset_name", "dataset_path", "train_dataset", "data.root_directory"}) {
    if (const Argument* argument = job.Find(key); argument != nullptr) return argument->values.size() > 1;
  }
  return false;
}

absl::Status SameDataset(Translator& job, const Argument& argument) {
  if (!HasSeveralSets(job)) return job.Harmless(argument, "the job trains on one dataset");
  if (ValueOf(argument) == "true") return job.SetFrom(argument, "data.homogeneous_batches", "true");
  return job.Harmless(argument, "data.homogeneous_batches is false");
}

absl::Status DatasetThreshold(Translator& job, const Argument& argument) {
  const Argument* same = job.Find("same_dataset_within_batch");
  if (same == nullptr || ValueOf(*same) != "true" || FiniteNumber(ValueOf(argument)).value_or(1) == 0) {
    return job.Harmless(argument, "without same_dataset_within_batch, or at 0, it has no effect");
  }
  return absl::InvalidArgumentError(
      "small datasets are neither merged nor left out: merge them at import, or leave them out of data.sets");
}

absl::Status MultiDatasetSampler(Translator& job, const Argument& argument) {
  if (!HasSeveralSets(job)) return job.Harmless(argument, "the job trains on one dataset");
  if (absl::StrContains(absl::AsciiStrToLower(ValueOf(argument)), "proportional")) {
    return job.SetFrom(argument, "data.homogeneous_batches", "true");
  }
  return absl::InvalidArgumentError("steps are drawn in proportion to the datasets. Set weights in data.sets to balance them");
}

}  // namespace

const ArgumentHandlers& TrainingDataHandlers() {
  static const auto* const kHandlers = new ArgumentHandlers{
      {"train_data", TrainingData},
      {"dataset", TrainingData},
      {"dataset_name", TrainingData},
      {"dataset_path", TrainingData},
      {"train_dataset", TrainingData},
      {"data.root_directory", TrainingData},
      {"same_dataset_within_batch", SameDataset},
      {"small_threshold", DatasetThreshold},
      {"drop_threshold", DatasetThreshold},
      {"multi_dataset_batch_sampler", MultiDatasetSampler},
  };
  return *kHandlers;
}

}  // namespace muster
