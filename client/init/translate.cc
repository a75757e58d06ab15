#include "client/init/translate.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/init/argument_values.h"
#include "client/init/detect_tool.h"
#include "client/init/rules.h"
#include "client/init/tools/handlers.h"
#include "client/init/translator.h"
#include "common/nearest_name.h"
#include "common/spec/profiles.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

const ArgumentHandlers& Handlers() {
  static const auto* const kHandlers = [] {
    auto* const all = new ArgumentHandlers;
    for (const ArgumentHandlers* handlers : {&TransformersHandlers(), &TrainingDataHandlers(),
                                             &TevatronAndFlagEmbeddingHandlers(), &LoraHandlers(),
                                             &SentenceTransformersHandlers(), &LossHandlers()}) {
      all->insert(handlers->begin(), handlers->end());
    }
    return all;
  }();
  return *kHandlers;
}

}  // namespace

absl::StatusOr<Translation> Translator::Run() {
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

absl::Status Translator::CheckTool() const {
  std::vector<std::string> tools;
  for (const Profile& profile : ToolProfiles()) tools.emplace_back(profile.name);
  if (result_.tool.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the arguments do not fit exactly one tool. Name it with --tool. ", AllowedNames("", tools)));
  }
  if (std::ranges::find(tools, result_.tool) != tools.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--tool: unknown tool \"", result_.tool, "\". ", AllowedNames(result_.tool, tools)));
}

// OK: translated or harmless. Otherwise the reason why it is not translated.
absl::Status Translator::Translate(const Argument& argument) {
  const RuleOf* rule = FindArgumentRule(argument.key);
  if (rule == nullptr) return absl::InvalidArgumentError("Muster does not know this argument");
  const std::vector<absl::string_view> values = absl::StrSplit(ToAbsl(rule->values), '|');
  switch (rule->rule) {
    case ArgumentRule::kCopy: return Copy(argument, std::string(rule->text));
    case ArgumentRule::kHarmless: return Harmless(argument, rule->text);
    case ArgumentRule::kHarmlessIf:
      if (std::ranges::find(values, ValueOf(argument)) != values.end()) return Harmless(argument, rule->text);
      return absl::InvalidArgumentError(ToAbsl(rule->text));
    case ArgumentRule::kRefused: return absl::InvalidArgumentError(ToAbsl(rule->text));
    case ArgumentRule::kTranslate: return Handlers().at(rule->key)(*this, argument);
  }
  return absl::OkStatus();
}

absl::Status Translator::Harmless(const Argument& argument, std::string_view why) {
  harmless_.push_back(absl::StrCat("  ", Quoted(argument), " (", std::string(why), ")"));
  ++result_.harmless;
  return absl::OkStatus();
}

void Translator::NotTranslated(const Argument& argument, const std::string& why) {
  not_translated_.push_back(absl::StrCat("  ", Quoted(argument), ": ", why));
  ++result_.not_translated;
}

absl::Status Translator::Set(const std::string& field, const std::string& value, const std::string& comment) {
  if (draft_.Has(field)) {
    if (draft_.ValueOf(field) == value) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("another argument sets ", field, " to ", draft_.ValueOf(field)));
  }
  const absl::Status status = draft_.Set(field, value, comment);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat("Muster cannot have it: ", std::string(status.message())));
}

absl::Status Translator::SetFrom(const Argument& argument, const std::string& field, const std::string& value,
                                 const std::string& more) {
  const bool known = draft_.Has(field);
  RETURN_IF_ERROR(Set(field, value, absl::StrCat(Quoted(argument), more.empty() ? "" : "; ", more)));
  if (known) return Harmless(argument, absl::StrCat("another argument sets ", field, " alike"));
  ++result_.translated;
  return absl::OkStatus();
}

absl::Status Translator::Copy(const Argument& argument, const std::string& field) {
  if (argument.values.empty() || ValueOf(argument) == "null") return Harmless(argument, "the tool's default");
  return SetFrom(argument, field, ValueOf(argument));
}

const Argument* Translator::Find(std::string_view key) const {
  const auto found = std::ranges::find(arguments_.arguments, key, &Argument::key);
  return found != arguments_.arguments.end() ? &*found : nullptr;
}

void Translator::FillRequired() {
  if (!draft_.Has("name")) Set("name", result_.tool, "any name").IgnoreError();
  if (!draft_.Has("model.from")) Set("model.from", "my-model", "not in the arguments: muster models push my-model DIR").IgnoreError();
  const bool names_data = draft_.Has("data.train") || draft_.Has("data.sets");
  if (!names_data) Set("data.train", "my-data", "not in the arguments: muster data import my-data PATH").IgnoreError();
  if (draft_.Has("data.sets") && result_.tool == "sentence-transformers" && Find("multi_dataset_batch_sampler") == nullptr) {
    Set("data.homogeneous_batches", "true", "the tool's default: multi_dataset_batch_sampler: proportional").IgnoreError();
  }
  if (UsesLora(*this) && !draft_.Has("model.lora.rank")) {
    Set("model.lora.rank", ToolsRank(*this), "the tool trains adapters unless tuner_type is full").IgnoreError();
  }
  if (!draft_.Has("duration.epochs") && !draft_.Has("duration.steps")) {
    Set("duration.epochs", "3", "not in the arguments: num_train_epochs of transformers").IgnoreError();
  }
}

void Translator::Finish() {
  draft_.Before(absl::StrCat("From ", options_.source, ", arguments of ", result_.tool, "."));
  draft_.Before("What the fields mean: docs/reference/job-spec.md. What it would do: muster submit FILE --dry-run");
  const auto add = [&](const std::string& title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    draft_.After(title);
    for (const std::string& line : lines) draft_.After(line);
  };
  add("Not translated:", not_translated_);
  add("Without effect on what is trained:", harmless_);
}

absl::StatusOr<Translation> TranslateArguments(const ToolArguments& arguments, const TranslateOptions& options) {
  return Translator(arguments, options).Run();
}

}  // namespace muster
