// Arguments of transformers and of launchers, and those that several tools share.
#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/init/argument_values.h"
#include "client/init/tools/handlers.h"
#include "common/status.h"

namespace muster {
namespace {

absl::Status WarmupSteps(Translator& job, const Argument& argument) {
  const auto steps = FiniteNumber(ValueOf(argument));
  if (!steps.has_value()) return absl::InvalidArgumentError("is not a number");
  if (*steps < 1) return job.SetFrom(argument, "optimizer.warmup", absl::StrCat(*steps));
  if (const Argument* total = job.Find("max_steps"); total != nullptr && FiniteNumber(ValueOf(*total)).value_or(0) >= *steps) {
    return job.SetFrom(argument, "optimizer.warmup", absl::StrCat(*steps / *FiniteNumber(ValueOf(*total))),
                   "as a share of max_steps");
  }
  return absl::InvalidArgumentError(
      "warmup is a share of the steps: divide by the number that muster submit --dry-run shows, and set optimizer.warmup");
}

absl::Status Schedule(Translator& job, const Argument& argument) {
  static const std::map<std::string, std::string> kNames = {{"linear", "linear"},
                                                            {"cosine", "cosine"},
                                                            {"constant", "constant"},
                                                            {"constant_with_warmup", "constant"}};
  const auto found = kNames.find(ValueOf(argument));
  if (found == kNames.end()) return absl::InvalidArgumentError("schedules are linear, cosine and constant");
  return job.SetFrom(argument, "optimizer.schedule", found->second);
}

absl::Status Epochs(Translator& job, const Argument& argument) {
  if (const Argument* steps = job.Find("max_steps"); steps != nullptr && FiniteNumber(ValueOf(*steps)).value_or(0) > 0) {
    return job.Harmless(argument, "max_steps decides");
  }
  const auto epochs = FiniteNumber(ValueOf(argument));
  if (!epochs.has_value() || *epochs != std::floor(*epochs) || *epochs < 1) {
    return absl::InvalidArgumentError("duration.epochs is a whole number, or set duration.steps");
  }
  return job.SetFrom(argument, "duration.epochs", absl::StrCat(*epochs));
}

absl::Status MaxSteps(Translator& job, const Argument& argument) {
  if (FiniteNumber(ValueOf(argument)).value_or(0) <= 0) return job.Harmless(argument, "num_train_epochs decides");
  return job.SetFrom(argument, "duration.steps", ValueOf(argument));
}

// 0: the argument does not give a number, for example because it is a shell variable.
uint32_t ProcessesOf(const Argument& argument) {
  if (argument.key == "include") {  // DeepSpeed's HOST:GPU,GPU; '@' separates hosts
    const std::string hosts = absl::StrJoin(argument.values, ",");
    const size_t colon = hosts.find(':');
    if (colon == std::string::npos || absl::StrContains(hosts, '@')) return 0;
    return static_cast<uint32_t>(std::count(hosts.begin() + static_cast<ptrdiff_t>(colon), hosts.end(), ',') + 1);
  }
  uint32_t count = 0;
  return absl::SimpleAtoi(ValueOf(argument), &count) ? count : 0;
}
absl::Status ProcessCount(Translator& job, const Argument& argument) {
  if (ProcessesOf(argument) > 0 || job.processes() > 0) return job.Harmless(argument, "counted in batch.queries");
  return absl::InvalidArgumentError("says no number of processes: name it with --processes");
}

struct Processes {
  uint32_t count;
  std::string source;
};
Processes ProcessesOfTheTool(const Translator& job) {
  if (job.processes() > 0) return {job.processes(), "--processes"};
  for (const char* key : {"world_size", "nproc_per_node", "NPROC_PER_NODE", "num_processes", "num_gpus", "include"}) {
    const Argument* argument = job.Find(key);
    const uint32_t count = argument != nullptr ? ProcessesOf(*argument) : 0;
    if (count > 0) return {count, key};
  }
  return {1, "no argument names more: give --processes if there are"};
}

absl::Status BatchSize(Translator& job, const Argument& argument) {
  const auto size = FiniteNumber(ValueOf(argument));
  if (!size.has_value() || *size < 1) return absl::InvalidArgumentError("is not a number of queries");
  const Processes processes = ProcessesOfTheTool(job);
  return job.SetFrom(argument, "batch.queries", absl::StrCat(*size * processes.count),
                 absl::StrCat("times ", processes.count, processes.count == 1 ? " process (" : " processes (",
                              processes.source, "); all queries of a step see each other's passages"));
}

absl::Status Bf16(Translator& job, const Argument& argument) {
  if (ValueOf(argument) != "true") return job.Harmless(argument, "precision is bf16 on a GPU, or set precision: fp32");
  return job.SetFrom(argument, "precision", "bf16");
}

absl::Status Dtype(Translator& job, const Argument& argument) {
  const std::string type = ValueOf(argument);
  if (type == "bfloat16") return job.SetFrom(argument, "precision", "bf16", "weights and their gradients stay fp32");
  if (type == "float32") return job.SetFrom(argument, "precision", "fp32");
  if (type == "null" || type == "auto") return job.Harmless(argument, "weights are fp32");
  return absl::InvalidArgumentError("precisions are bf16 and fp32");
}

absl::Status UseCpu(Translator& job, const Argument& argument) {
  if (ValueOf(argument) != "true") return job.Harmless(argument, "resources.device is gpu where a worker has one");
  return job.SetFrom(argument, "resources.device", "cpu");
}

absl::Status RunName(Translator& job, const Argument& argument) {
  return job.SetFrom(argument, "name", YamlScalar(NameFrom(ValueOf(argument), "job")));
}

absl::Status Model(Translator& job, const Argument& argument) {
  const std::string name = NameFrom(ValueOf(argument), "model");
  return job.SetFrom(argument, "model.from", YamlScalar(name), absl::StrCat("muster models push ", name, " DIR"));
}

absl::Status BothLengths(Translator& job, const Argument& argument) {
  if (argument.values.empty() || ValueOf(argument) == "null") return job.Harmless(argument, "the model folder's");
  RETURN_IF_ERROR(job.Set("model.max_length.query", ValueOf(argument), Quoted(argument)));
  return job.SetFrom(argument, "model.max_length.passage", ValueOf(argument));
}

absl::Status GroupSize(Translator& job, const Argument& argument) {
  const auto size = FiniteNumber(ValueOf(argument));
  if (!size.has_value() || *size < 1) return absl::InvalidArgumentError("is not a number of passages");
  RETURN_IF_ERROR(job.Set("data.positives.per_query", "1", ""));
  return job.SetFrom(argument, "data.negatives.per_query", absl::StrCat(*size - 1), "one passage is the positive");
}

}  // namespace

const ArgumentHandlers& TransformersHandlers() {
  static const auto* const kHandlers = new ArgumentHandlers{
      {"warmup_steps", WarmupSteps},
      {"scheduler.num_warmup_steps", WarmupSteps},
      {"lr_scheduler_type", Schedule},
      {"num_train_epochs", Epochs},
      {"max_steps", MaxSteps},
      {"per_device_train_batch_size", BatchSize},
      {"bf16", Bf16},
      {"dtype", Dtype},
      {"torch_dtype", Dtype},
      {"use_cpu", UseCpu},
      {"run_name", RunName},
      {"model_name_or_path", Model},
      {"model_name", Model},
      {"model", Model},
      {"model.name_or_path", Model},
      {"max_length", BothLengths},
      {"max_seq_length", BothLengths},
      {"train_group_size", GroupSize},
      {"world_size", ProcessCount},
      {"nproc_per_node", ProcessCount},
      {"NPROC_PER_NODE", ProcessCount},
      {"num_processes", ProcessCount},
      {"num_gpus", ProcessCount},
      {"include", ProcessCount},
  };
  return *kHandlers;
}

}  // namespace muster
