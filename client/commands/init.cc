// muster init: writes a job file from another tool's arguments, or the smallest one.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/init/job_draft.h"
#include "client/init/translate.h"
#include "client/job_file.h"
#include "client/words.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/flags/parse_flags.h"
#include "common/spec/profiles.h"
#include "common/status.h"

namespace muster {
namespace {

struct InitFlags {
  std::string file, from, tool, model, data;
  uint32_t processes = 0;
};

std::string MinimalJobFile(const InitFlags& flags) {
  const std::string model = flags.model.empty() ? "my-model" : flags.model;
  const std::string data = flags.data.empty() ? "my-data" : flags.data;
  const bool named = !flags.model.empty() || !flags.data.empty();
  JobDraft draft;
  draft.Before("The smallest job. Every other field has a default: docs/reference/job-spec.md.");
  draft.Before("What it would do: muster submit FILE --dry-run");
  draft.Set("name", named ? ValidJobName(absl::StrCat(data, "-", model)) : "my-job", "any name").IgnoreError();
  const bool of_a_job = absl::StartsWith(model, "job:");
  draft.Set("model.from", model, of_a_job ? "the model of this job; with @STEP, its checkpoint" : absl::StrCat("muster models push ", model, " DIR")).IgnoreError();
  draft.Set("data.train", data, absl::StrCat("muster data import ", data, " PATH")).IgnoreError();
  draft.Set("loss.objective", "jointlh", "jointlh, jointlh_sum, rand1lh, summarglh, lsepair, mean1lh").IgnoreError();
  draft.Set("duration.epochs", "3", "or steps").IgnoreError();
  draft.Set("report.dataset", data, "measured before and after training, on split test").IgnoreError();
  return draft.Text();
}

absl::StatusOr<std::string> FromArguments(const InitFlags& flags) {
  const absl::StatusOr<std::string> text = ReadFile(flags.from);
  if (!text.ok()) return absl::InvalidArgumentError(text.status().message());
  ASSIGN_OR_RETURN(const ToolArguments arguments, ReadToolArguments(flags.from, *text));
  const std::string source = std::filesystem::path(flags.from).filename().string();
  const auto translation =
      TranslateArguments(arguments, {.source = source, .tool = flags.tool, .processes = flags.processes});
  if (!translation.ok()) return WithContext(translation.status(), flags.from);
  std::fprintf(stderr, "%s of %s: %zu translated, %zu without effect, %zu not translated\n",
               Plural(arguments.arguments.size(), "argument").c_str(), translation->tool.c_str(), translation->translated,
               translation->harmless, translation->not_translated);
  if (translation->not_translated > 0) std::fprintf(stderr, "note: read the end of the job file\n");
  // The user must decide about arguments that the tool accepts and Muster refuses.
  if (const auto job = ParseJobFile("the job file", translation->job_file, {}); !job.ok()) {
    std::fprintf(stderr, "note: %s\n", std::string(job.status().message()).c_str());
  }
  return translation->job_file;
}

absl::StatusOr<int> Init(const InitFlags& flags) {
  if (!flags.file.empty() && std::filesystem::exists(flags.file)) {
    return absl::InvalidArgumentError(absl::StrCat("init: ", flags.file, " exists. Name another file."));
  }
  std::string text = MinimalJobFile(flags);
  if (!flags.from.empty()) {
    auto translated = FromArguments(flags);
    if (!translated.ok()) return WithContext(translated.status(), "init");
    text = *std::move(translated);
  }
  if (flags.file.empty()) {
    std::printf("%s", text.c_str());
    return kExitSucceeded;
  }
  RETURN_IF_ERROR(WriteFileAtomically(flags.file, text));
  std::printf("wrote %s. Look at it, then: muster submit %s --dry-run\n", flags.file.c_str(), flags.file.c_str());
  return kExitSucceeded;
}

}  // namespace

void AddInitCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<InitFlags>();
  CLI::App* command = app.add_subcommand("init", "Write a commented job file: the smallest one, or from another tool's arguments")->fallthrough();
  AsksNoCluster(command, cli);
  PrintsItsOwnFormat(command, cli);
  command->add_option("job", flags->file, "File to write; without it the job file is printed")->type_name("JOB.yaml");
  CLI::Option* from =
      command->add_option("--from", flags->from, "Arguments of another tool: YAML, JSON, or the command line in a file")
          ->type_name("FILE");
  std::vector<std::pair<std::string, std::string>> tools;
  for (const Profile& profile : ToolProfiles()) tools.emplace_back(profile.name, profile.name);
  CLI::Option* tool = AddChoice(*command, "--tool", flags->tool, tools, "The tool; by default recognized from its arguments");
  OnlyWith(tool->type_name("TOOL"), from);
  CLI::Option* processes =
      command->add_option("--processes", flags->processes, "Training processes of the tool, one per GPU")
          ->type_name("N")
          ->check(CLI::PositiveNumber);
  OnlyWith(processes, from);
  for (CLI::Option* option : {command->add_option("--model", flags->model, "The model to train: a pushed model, or job:ID")->type_name("MODEL"),
                              command->add_option("--data", flags->data, "The dataset to train on")->type_name("DATASET")}) {
    option->excludes(from);
  }
  command->callback([&cli, flags] { cli.action = [flags] { return Init(*flags); }; });
}

}  // namespace muster
