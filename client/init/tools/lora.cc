// Low-rank adapters in the arguments of ms-swift, Tevatron and FlagEmbedding.
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/init/argument_values.h"
#include "client/init/tools/handlers.h"
#include "common/spec/profiles.h"
#include "common/status.h"

namespace muster {
namespace {

absl::Status Tuner(Translator& job, const Argument& argument) {
  const std::string type = ValueOf(argument);
  if (type == "full" || type == "false") return job.Harmless(argument, "all weights are trained");
  if (type != "lora" && type != "true") return absl::InvalidArgumentError("all weights are trained, or model.lora");
  if (job.Find("lora_rank") != nullptr || job.Find("lora_r") != nullptr) return job.Harmless(argument, "see model.lora.rank");
  return job.SetFrom(argument, "model.lora.rank", ToolsRank(job));
}

absl::Status LoraRank(Translator& job, const Argument& argument) {
  return UsesLora(job) ? job.Copy(argument, "model.lora.rank") : job.Harmless(argument, "all weights are trained");
}

absl::Status LoraAlpha(Translator& job, const Argument& argument) {
  return UsesLora(job) ? job.Copy(argument, "model.lora.alpha") : job.Harmless(argument, "all weights are trained");
}

absl::Status LoraTargets(Translator& job, const Argument& argument) {
  if (!UsesLora(job)) return job.Harmless(argument, "all weights are trained");
  if (ValueOf(argument) == "all-linear") return job.Harmless(argument, "all products of the layers, as without targets");
  std::vector<std::string> names;
  for (const std::string& value : argument.values) {
    for (const absl::string_view name : absl::StrSplit(value, ',', absl::SkipWhitespace())) {
      names.push_back(YamlScalar(std::string(absl::StripAsciiWhitespace(name))));
    }
  }
  return job.SetFrom(argument, "model.lora.targets", absl::StrCat("[", absl::StrJoin(names, ", "), "]"));
}

}  // namespace

// A rank creates the section model.lora; the profile has the tool's defaults for its other fields.
std::string ToolsRank(const Translator& job) { return absl::StrCat(FindProfile(job.tool())->lora_rank.value_or(16)); }

// ms-swift trains adapters unless tuner_type says otherwise.
bool UsesLora(const Translator& job) {
  for (const char* key : {"tuner_type", "train_type", "use_lora", "lora"}) {
    if (const Argument* argument = job.Find(key); argument != nullptr) {
      return ValueOf(*argument) == "lora" || ValueOf(*argument) == "true";
    }
  }
  return job.tool() == "swift" || (job.tool() != "tevatron" && job.Find("lora_rank") != nullptr);
}

const ArgumentHandlers& LoraHandlers() {
  static const auto* const kHandlers = new ArgumentHandlers{
      {"tuner_type", Tuner},
      {"train_type", Tuner},
      {"use_lora", Tuner},
      {"lora", Tuner},
      {"lora_r", LoraRank},
      {"lora_rank", LoraRank},
      {"lora_alpha", LoraAlpha},
      {"lora_target_modules", LoraTargets},
      {"target_modules", LoraTargets},
  };
  return *kHandlers;
}

}  // namespace muster
