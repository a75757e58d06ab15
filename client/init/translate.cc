#include "client/init/translate.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/init/argument_values.h"
#include "client/init/detect_tool.h"
#include "client/init/job_draft.h"
#include "client/init/rules.h"
#include "common/nearest_name.h"
#include "common/spec/profiles.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

class Translator {
 public:
  Translator(const ToolArguments& arguments, const TranslateOptions& options)
      : arguments_(arguments), options_(options) {}

  absl::StatusOr<Translation> Run() {
    result_.tool = options_.tool.empty() ? DetectTool(arguments_) : options_.tool;
    RETURN_IF_ERROR(CheckTool());
    draft_.Set("profile", result_.tool, "the tool's defaults; every field can still be set").IgnoreError();
    for (const Argument& argument : arguments_.arguments) {
      const absl::Status outcome = Translate(argument);
      if (!outcome.ok()) NotTranslated(argument, std::string(outcome.message()));
    }
    FillRequired();
    Finish();
    result_.job_file = draft_.Text();
    return std::move(result_);
  }

 private:
  using Handler = absl::Status (Translator::*)(const Argument&);

  absl::Status CheckTool() const {
    std::vector<std::string> tools;
    for (const Profile& profile : Profiles()) tools.emplace_back(profile.name);
    if (result_.tool.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the arguments fit no tool alone. Name it with --tool. ", AllowedNames("", tools)));
    }
    if (FindProfile(result_.tool) != nullptr) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("--tool: unknown tool \"", result_.tool, "\". ", AllowedNames(result_.tool, tools)));
  }

  // OK: translated or harmless. Otherwise the reason why it is not translated.
  absl::Status Translate(const Argument& argument) {
    const RuleOf* rule = FindArgumentRule(argument.key);
    if (rule == nullptr) return absl::InvalidArgumentError("Muster knows no such argument");
    const std::vector<absl::string_view> values = absl::StrSplit(ToAbsl(rule->values), '|');
    switch (rule->rule) {
      case ArgumentRule::kCopy: return Copy(argument, std::string(rule->text));
      case ArgumentRule::kHarmless: return Harmless(argument, rule->text);
      case ArgumentRule::kHarmlessIf:
        if (std::ranges::find(values, ValueOf(argument)) != values.end()) return Harmless(argument, rule->text);
        return absl::InvalidArgumentError(ToAbsl(rule->text));
      case ArgumentRule::kRefused: return absl::InvalidArgumentError(ToAbsl(rule->text));
      case ArgumentRule::kTranslate: return (this->*Handlers().at(argument.key))(argument);
    }
    return absl::OkStatus();
  }

  absl::Status Harmless(const Argument& argument, std::string_view why) {
    harmless_.push_back(absl::StrCat("  ", Quoted(argument), " (", std::string(why), ")"));
    ++result_.harmless;
    return absl::OkStatus();
  }

  void NotTranslated(const Argument& argument, const std::string& why) {
    not_translated_.push_back(absl::StrCat("  ", Quoted(argument), ": ", why));
    ++result_.not_translated;
  }

  // A field that has this value already keeps its comment.
  absl::Status Set(const std::string& field, const std::string& value, const std::string& comment) {
    if (draft_.Has(field)) {
      if (draft_.ValueOf(field) == value) return absl::OkStatus();
      return absl::InvalidArgumentError(absl::StrCat("another argument sets ", field, " to ", draft_.ValueOf(field)));
    }
    const absl::Status status = draft_.Set(field, value, comment);
    if (status.ok()) return status;
    return absl::InvalidArgumentError(absl::StrCat("Muster cannot have it: ", std::string(status.message())));
  }
  // Sets the field to `value` because of the argument.
  absl::Status SetFrom(const Argument& argument, const std::string& field, const std::string& value,
                       const std::string& more = "") {
    const bool known = draft_.Has(field);
    RETURN_IF_ERROR(Set(field, value, absl::StrCat(Quoted(argument), more.empty() ? "" : "; ", more)));
    if (known) return Harmless(argument, absl::StrCat("another argument sets ", field, " alike"));
    ++result_.translated;
    return absl::OkStatus();
  }
  absl::Status Copy(const Argument& argument, const std::string& field) {
    if (argument.values.empty() || ValueOf(argument) == "null") return Harmless(argument, "the tool's default");
    return SetFrom(argument, field, ValueOf(argument));
  }

  absl::Status WarmupSteps(const Argument& argument) {
    const auto steps = FiniteNumber(ValueOf(argument));
    if (!steps.has_value()) return absl::InvalidArgumentError("is not a number");
    if (*steps < 1) return SetFrom(argument, "optimizer.warmup", absl::StrCat(*steps));
    if (const Argument* total = Find("max_steps"); total != nullptr && FiniteNumber(ValueOf(*total)).value_or(0) >= *steps) {
      return SetFrom(argument, "optimizer.warmup", absl::StrCat(*steps / *FiniteNumber(ValueOf(*total))),
                     "as a share of max_steps");
    }
    return absl::InvalidArgumentError(
        "warmup is a share of the steps: divide by the number that muster submit --dry-run shows, and set optimizer.warmup");
  }

  absl::Status Schedule(const Argument& argument) {
    static const std::map<std::string, std::string> kNames = {{"linear", "linear"},
                                                              {"cosine", "cosine"},
                                                              {"constant", "constant"},
                                                              {"constant_with_warmup", "constant"}};
    const auto found = kNames.find(ValueOf(argument));
    if (found == kNames.end()) return absl::InvalidArgumentError("schedules are linear, cosine and constant");
    return SetFrom(argument, "optimizer.schedule", found->second);
  }

  absl::Status Epochs(const Argument& argument) {
    if (const Argument* steps = Find("max_steps"); steps != nullptr && FiniteNumber(ValueOf(*steps)).value_or(0) > 0) {
      return Harmless(argument, "max_steps decides");
    }
    const auto epochs = FiniteNumber(ValueOf(argument));
    if (!epochs.has_value() || *epochs != std::floor(*epochs) || *epochs < 1) {
      return absl::InvalidArgumentError("duration.epochs is a whole number, or set duration.steps");
    }
    return SetFrom(argument, "duration.epochs", absl::StrCat(*epochs));
  }

  absl::Status MaxSteps(const Argument& argument) {
    if (FiniteNumber(ValueOf(argument)).value_or(0) <= 0) return Harmless(argument, "num_train_epochs decides");
    return SetFrom(argument, "duration.steps", ValueOf(argument));
  }

  // 0: the argument does not say how many, as a variable of the shell does not.
  static uint32_t ProcessesOf(const Argument& argument) {
    if (argument.key == "include") {  // DeepSpeed's HOST:GPU,GPU; '@' stands between hosts
      const std::string hosts = absl::StrJoin(argument.values, ",");
      const size_t colon = hosts.find(':');
      if (colon == std::string::npos || absl::StrContains(hosts, '@')) return 0;
      return static_cast<uint32_t>(std::count(hosts.begin() + static_cast<ptrdiff_t>(colon), hosts.end(), ',') + 1);
    }
    uint32_t count = 0;
    return absl::SimpleAtoi(ValueOf(argument), &count) ? count : 0;
  }
  absl::Status ProcessCount(const Argument& argument) {
    if (ProcessesOf(argument) > 0 || options_.processes > 0) return Harmless(argument, "counted in batch.queries");
    return absl::InvalidArgumentError("says no number of processes: name it with --processes");
  }

  absl::Status BatchSize(const Argument& argument) {
    const auto size = FiniteNumber(ValueOf(argument));
    if (!size.has_value() || *size < 1) return absl::InvalidArgumentError("is not a number of queries");
    const Processes processes = ProcessesOfTheTool();
    return SetFrom(argument, "batch.queries", absl::StrCat(*size * processes.count),
                   absl::StrCat("times ", processes.count, processes.count == 1 ? " process (" : " processes (",
                                processes.source, "); all queries of a step see each other's passages"));
  }

  absl::Status Bf16(const Argument& argument) {
    if (ValueOf(argument) != "true") return Harmless(argument, "precision is bf16 on a GPU, or set precision: fp32");
    return SetFrom(argument, "precision", "bf16");
  }
  absl::Status Dtype(const Argument& argument) {
    const std::string type = ValueOf(argument);
    if (type == "bfloat16") return SetFrom(argument, "precision", "bf16", "weights and their gradients stay fp32");
    if (type == "float32") return SetFrom(argument, "precision", "fp32");
    if (type == "null" || type == "auto") return Harmless(argument, "weights are fp32");
    return absl::InvalidArgumentError("precisions are bf16 and fp32");
  }
  absl::Status UseCpu(const Argument& argument) {
    if (ValueOf(argument) != "true") return Harmless(argument, "resources.device is gpu where a worker has one");
    return SetFrom(argument, "resources.device", "cpu");
  }

  absl::Status RunName(const Argument& argument) {
    return SetFrom(argument, "name", YamlScalar(NameFrom(ValueOf(argument), "job")));
  }
  absl::Status Model(const Argument& argument) {
    const std::string name = NameFrom(ValueOf(argument), "model");
    return SetFrom(argument, "model.from", YamlScalar(name), absl::StrCat("muster models push ", name, " DIR"));
  }
  absl::Status Dataset(const Argument& argument) {
    if (argument.values.size() > 1) {
      return absl::InvalidArgumentError("a job trains one dataset: import the files together");
    }
    const std::string name = NameFrom(ValueOf(argument), "data");
    if (draft_.Has("data.train")) {
      return Harmless(argument, absl::StrCat("import it: muster data import ", draft_.ValueOf("data.train"), " PATH"));
    }
    return SetFrom(argument, "data.train", YamlScalar(name), absl::StrCat("muster data import ", name, " PATH"));
  }

  absl::Status BothLengths(const Argument& argument) {
    if (argument.values.empty() || ValueOf(argument) == "null") return Harmless(argument, "the model folder's");
    RETURN_IF_ERROR(Set("model.max_length.query", ValueOf(argument), Quoted(argument)));
    return SetFrom(argument, "model.max_length.passage", ValueOf(argument));
  }

  absl::Status GroupSize(const Argument& argument) {
    const auto size = FiniteNumber(ValueOf(argument));
    if (!size.has_value() || *size < 1) return absl::InvalidArgumentError("is not a number of passages");
    RETURN_IF_ERROR(Set("data.positives.per_query", "1", ""));
    return SetFrom(argument, "data.negatives.per_query", absl::StrCat(*size - 1), "one passage is the positive");
  }

  absl::Status Pooling(const Argument& argument) {
    static const std::map<std::string, std::string> kNames = {
        {"cls", "cls"},   {"first", "cls"}, {"first_token", "cls"}, {"mean", "mean"},        {"avg", "mean"},
        {"average", "mean"}, {"last", "last"}, {"eos", "last"},     {"last_token", "last"}};
    const auto found = kNames.find(ValueOf(argument));
    if (found == kNames.end()) return absl::InvalidArgumentError("set model.pooling, see docs/job-spec.md");
    return SetFrom(argument, "model.pooling", found->second);
  }

  absl::Status QueryPrefix(const Argument& argument) {
    return SetFrom(argument, "model.prompts.query", YamlScalar(argument.Text()));
  }
  absl::Status PassagePrefix(const Argument& argument) {
    return SetFrom(argument, "model.prompts.passage", YamlScalar(argument.Text()));
  }
  // FlagEmbedding's format.format(instruction, text): "{}{}", or "Instruct: {}\nQuery: {}".
  absl::Status Instruction(const Argument& argument) {
    const bool query = absl::StartsWith(argument.key, "query");
    const std::string field = query ? "model.prompts.query" : "model.prompts.passage";
    if (argument.values.empty() || ValueOf(argument) == "null") return Harmless(argument, "no prompt");
    const Argument* given = Find(query ? "query_instruction_format" : "passage_instruction_format");
    // On a command line the tool's examples write a line end as \n, and the tool makes one of it.
    const std::string format = given != nullptr ? absl::StrReplaceAll(given->Text(), {{"\\n", "\n"}}) : "{}{}";
    const size_t first = format.find("{}");
    if (first == std::string::npos || format.find("{}", first + 2) != format.size() - 2) {
      return absl::InvalidArgumentError(absl::StrCat("a prompt stands before the text, and the format is \"", format, "\""));
    }
    std::string prompt = format.substr(0, format.size() - 2);
    prompt.replace(first, 2, argument.Text());
    return SetFrom(argument, field, YamlScalar(prompt));
  }
  absl::Status InstructionFormat(const Argument& argument) {
    const bool query = absl::StartsWith(argument.key, "query");
    return Harmless(argument, query ? "see query_instruction_for_retrieval" : "see passage_instruction_for_retrieval");
  }
  absl::Status Prompts(const Argument& argument) {
    if (argument.values.size() != 1) {
      return absl::InvalidArgumentError("set model.prompts.query and model.prompts.passage");
    }
    if (ValueOf(argument) == "null") return Harmless(argument, "no prompt");
    RETURN_IF_ERROR(Set("model.prompts.passage", YamlScalar(argument.Text()), Quoted(argument)));
    return QueryPrefix(argument);
  }

  absl::Status FirstPositive(const Argument& argument) {
    if (ValueOf(argument) != "true") return Harmless(argument, "the tool's default");
    return SetFrom(argument, "data.positives.choose", "first");
  }
  absl::Status FirstNegatives(const Argument& argument) {
    if (ValueOf(argument) != "true") return Harmless(argument, "the tool's default");
    return SetFrom(argument, "data.negatives.choose", "first");
  }

  absl::Status Tuner(const Argument& argument) {
    const std::string type = ValueOf(argument);
    if (type == "full" || type == "false") return Harmless(argument, "all weights are trained");
    if (type != "lora" && type != "true") return absl::InvalidArgumentError("all weights are trained, or model.lora");
    if (Find("lora_rank") != nullptr || Find("lora_r") != nullptr) return Harmless(argument, "see model.lora.rank");
    return SetFrom(argument, "model.lora.rank", ToolsRank());
  }
  // A rank makes the section model.lora, for which the profile has the tool's other defaults.
  std::string ToolsRank() const { return absl::StrCat(FindProfile(result_.tool)->lora_rank.value_or(16)); }
  // ms-swift trains adapters unless it is told otherwise.
  bool UsesLora() const {
    for (const char* key : {"tuner_type", "train_type", "use_lora", "lora"}) {
      if (const Argument* argument = Find(key); argument != nullptr) {
        return ValueOf(*argument) == "lora" || ValueOf(*argument) == "true";
      }
    }
    return result_.tool == "swift" || (result_.tool != "tevatron" && Find("lora_rank") != nullptr);
  }
  absl::Status LoraRank(const Argument& argument) {
    return UsesLora() ? Copy(argument, "model.lora.rank") : Harmless(argument, "all weights are trained");
  }
  absl::Status LoraAlpha(const Argument& argument) {
    return UsesLora() ? Copy(argument, "model.lora.alpha") : Harmless(argument, "all weights are trained");
  }
  absl::Status LoraTargets(const Argument& argument) {
    if (!UsesLora()) return Harmless(argument, "all weights are trained");
    if (ValueOf(argument) == "all-linear") return Harmless(argument, "all products of the layers, as without targets");
    std::vector<std::string> names;
    for (const std::string& value : argument.values) {
      for (const absl::string_view name : absl::StrSplit(value, ',', absl::SkipWhitespace())) {
        names.push_back(YamlScalar(std::string(absl::StripAsciiWhitespace(name))));
      }
    }
    return SetFrom(argument, "model.lora.targets", absl::StrCat("[", absl::StrJoin(names, ", "), "]"));
  }

  // FlagEmbedding takes the mean over the sizes, sentence-transformers and ms-swift the sum.
  absl::Status MatryoshkaSizes(const Argument& argument) {
    if (argument.values.empty()) return Harmless(argument, "whole embeddings are trained");
    std::vector<std::string> sizes;
    for (const std::string& value : argument.values) {
      for (const absl::string_view size : absl::StrSplit(value, absl::ByAnyChar("[], "), absl::SkipEmpty())) {
        sizes.emplace_back(size);
      }
    }
    if (const Argument* use = Find("use_mrl"); result_.tool == "flagembedding" && (use == nullptr || ValueOf(*use) != "true")) {
      return Harmless(argument, "without use_mrl it has no effect");
    }
    if (result_.tool == "flagembedding") {
      const std::vector<std::string> weights(sizes.size(), absl::StrCat(1.0 / static_cast<double>(sizes.size())));
      RETURN_IF_ERROR(Set("loss.matryoshka_weights", absl::StrCat("[", absl::StrJoin(weights, ", "), "]"),
                          "the tool takes the mean over the sizes"));
    }
    return SetFrom(argument, "loss.matryoshka_dimensions", absl::StrCat("[", absl::StrJoin(sizes, ", "), "]"));
  }
  absl::Status MatryoshkaWeights(const Argument& argument) {
    if (argument.values.empty() || ValueOf(argument) == "null") return Harmless(argument, "all weights are 1");
    return SetFrom(argument, "loss.matryoshka_weights", absl::StrCat("[", absl::StrJoin(argument.values, ", "), "]"));
  }

  absl::Status Scale(const Argument& argument) {
    const auto scale = FiniteNumber(ValueOf(argument));
    if (!scale.has_value() || *scale <= 0) return absl::InvalidArgumentError("is not a scale above 0");
    return SetFrom(argument, "loss.temperature", absl::StrCat(1 / *scale), "1 / scale");
  }
  absl::Status Betas(const Argument& argument) {
    if (argument.values.size() != 2) return absl::InvalidArgumentError("must be two numbers");
    RETURN_IF_ERROR(Set("optimizer.beta1", argument.values[0], Quoted(argument)));
    return SetFrom(argument, "optimizer.beta2", argument.values[1]);
  }

  static const std::map<std::string, Handler>& Handlers() {
    using T = Translator;
    static const std::map<std::string, Handler> kHandlers = {
        {"warmup_steps", &T::WarmupSteps},
        {"scheduler.num_warmup_steps", &T::WarmupSteps},
        {"lr_scheduler_type", &T::Schedule},
        {"num_train_epochs", &T::Epochs},
        {"max_steps", &T::MaxSteps},
        {"per_device_train_batch_size", &T::BatchSize},
        {"bf16", &T::Bf16},
        {"dtype", &T::Dtype},
        {"torch_dtype", &T::Dtype},
        {"use_cpu", &T::UseCpu},
        {"run_name", &T::RunName},
        {"model_name_or_path", &T::Model},
        {"model_name", &T::Model},
        {"model", &T::Model},
        {"model.name_or_path", &T::Model},
        {"train_data", &T::Dataset},
        {"dataset", &T::Dataset},
        {"dataset_name", &T::Dataset},
        {"dataset_path", &T::Dataset},
        {"train_dataset", &T::Dataset},
        {"data.root_directory", &T::Dataset},
        {"max_length", &T::BothLengths},
        {"max_seq_length", &T::BothLengths},
        {"train_group_size", &T::GroupSize},
        {"pooling", &T::Pooling},
        {"model.pooling", &T::Pooling},
        {"sentence_pooling_method", &T::Pooling},
        {"query_prefix", &T::QueryPrefix},
        {"passage_prefix", &T::PassagePrefix},
        {"query_instruction_for_retrieval", &T::Instruction},
        {"passage_instruction_for_retrieval", &T::Instruction},
        {"query_instruction_format", &T::InstructionFormat},
        {"passage_instruction_format", &T::InstructionFormat},
        {"prompts", &T::Prompts},
        {"positive_passage_no_shuffle", &T::FirstPositive},
        {"negative_passage_no_shuffle", &T::FirstNegatives},
        {"tuner_type", &T::Tuner},
        {"train_type", &T::Tuner},
        {"use_lora", &T::Tuner},
        {"lora", &T::Tuner},
        {"lora_r", &T::LoraRank},
        {"lora_rank", &T::LoraRank},
        {"lora_alpha", &T::LoraAlpha},
        {"lora_target_modules", &T::LoraTargets},
        {"target_modules", &T::LoraTargets},
        {"mrl_dims", &T::MatryoshkaSizes},
        {"matryoshka_dims", &T::MatryoshkaSizes},
        {"matryoshka_weights", &T::MatryoshkaWeights},
        {"scale", &T::Scale},
        {"optimizer.betas", &T::Betas},
        {"world_size", &T::ProcessCount},
        {"nproc_per_node", &T::ProcessCount},
        {"NPROC_PER_NODE", &T::ProcessCount},
        {"num_processes", &T::ProcessCount},
        {"num_gpus", &T::ProcessCount},
        {"include", &T::ProcessCount},
    };
    return kHandlers;
  }

  const Argument* Find(absl::string_view key) const {
    const auto found = std::ranges::find(arguments_.arguments, key, &Argument::key);
    return found != arguments_.arguments.end() ? &*found : nullptr;
  }

  struct Processes {
    uint32_t count;
    std::string source;
  };
  Processes ProcessesOfTheTool() const {
    if (options_.processes > 0) return {options_.processes, "--processes"};
    for (const char* key : {"world_size", "nproc_per_node", "NPROC_PER_NODE", "num_processes", "num_gpus", "include"}) {
      const Argument* argument = Find(key);
      const uint32_t count = argument != nullptr ? ProcessesOf(*argument) : 0;
      if (count > 0) return {count, key};
    }
    return {1, "no argument names more: give --processes if there are"};
  }

  void FillRequired() {
    if (!draft_.Has("name")) Set("name", result_.tool, "for people").IgnoreError();
    if (!draft_.Has("model.from")) Set("model.from", "my-model", "not in the arguments: muster models push my-model DIR").IgnoreError();
    if (!draft_.Has("data.train")) Set("data.train", "my-data", "not in the arguments: muster data import my-data PATH").IgnoreError();
    if (UsesLora() && !draft_.Has("model.lora.rank")) {
      Set("model.lora.rank", ToolsRank(), "the tool trains adapters unless tuner_type is full").IgnoreError();
    }
    if (!draft_.Has("duration.epochs") && !draft_.Has("duration.steps")) {
      Set("duration.epochs", "3", "not in the arguments: num_train_epochs of transformers").IgnoreError();
    }
  }

  void Finish() {
    draft_.Before(absl::StrCat("From ", options_.source, ", arguments of ", result_.tool, "."));
    draft_.Before("What the fields mean: docs/job-spec.md. What it would do: muster submit FILE --dry-run");
    const auto add = [&](const std::string& title, const std::vector<std::string>& lines) {
      if (lines.empty()) return;
      draft_.After(title);
      for (const std::string& line : lines) draft_.After(line);
    };
    add("Not translated:", not_translated_);
    add("Without effect on what is trained:", harmless_);
  }

  const ToolArguments& arguments_;
  const TranslateOptions& options_;
  JobDraft draft_;
  Translation result_;
  std::vector<std::string> harmless_, not_translated_;
};

}  // namespace

absl::StatusOr<Translation> TranslateArguments(const ToolArguments& arguments, const TranslateOptions& options) {
  return Translator(arguments, options).Run();
}

}  // namespace muster
