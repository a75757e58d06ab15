// muster mine DATASET --model MODEL --out NAME: submits a job that mines hard negatives, and follows it.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/call.h"
#include "client/commands/commands.h"
#include "client/commands/follow.h"
#include "client/job_file.h"
#include "common/exit_code.h"
#include "common/status.h"
#include "muster/v1/job.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::JobService;

struct MineFlags {
  std::string dataset, model, out, split, ranks;
  std::optional<uint32_t> per_query;
  std::optional<double> absolute_margin, relative_margin;
  std::string sampling;
  std::optional<uint64_t> seed;
  std::vector<std::string> overrides;
  std::string request_id;
};

// "10-100" or "100", which is 1-100.
absl::StatusOr<std::pair<uint32_t, uint32_t>> ParseRanks(const std::string& text) {
  const std::vector<std::string> ends = absl::StrSplit(text, '-');
  std::pair<uint32_t, uint32_t> ranks = {1, 0};
  const bool numbers = ends.size() == 1   ? absl::SimpleAtoi(ends[0], &ranks.second)
                       : ends.size() == 2 ? absl::SimpleAtoi(ends[0], &ranks.first) &&
                                                absl::SimpleAtoi(ends[1], &ranks.second)
                                          : false;
  if (numbers) return ranks;
  return absl::InvalidArgumentError(absl::StrCat("mine: --ranks: \"", text, "\" is not a range of ranks. Write the first and "
                                                 "the last one: --ranks 10-100."));
}

// Sets no fields for omitted flags, so that they get the job's defaults.
absl::StatusOr<nlohmann::json> JobFileOf(const MineFlags& flags) {
  nlohmann::json mine = {{"dataset", flags.dataset}, {"out", flags.out}};
  if (!flags.split.empty()) mine["split"] = flags.split;
  if (!flags.ranks.empty()) {
    ASSIGN_OR_RETURN(const auto ranks, ParseRanks(flags.ranks));
    mine["ranks"] = {{"first", ranks.first}, {"last", ranks.second}};
  }
  if (flags.per_query.has_value()) mine["per_query"] = *flags.per_query;
  if (flags.absolute_margin.has_value()) mine["absolute_margin"] = *flags.absolute_margin;
  if (flags.relative_margin.has_value()) mine["relative_margin"] = *flags.relative_margin;
  if (!flags.sampling.empty()) mine["sampling"] = flags.sampling;
  nlohmann::json job = {{"name", ValidJobName(absl::StrCat("mine-", flags.model, "-", flags.dataset))},
                        {"model", {{"from", flags.model}}},
                        {"duration", {{"steps", 0}}},
                        {"mine", std::move(mine)}};
  if (flags.seed.has_value()) job["seed"] = *flags.seed;
  return job;
}

absl::StatusOr<int> MineNegatives(const Cli& cli, const MineFlags& flags) {
  muster::v1::SubmitJobRequest request;
  ASSIGN_OR_RETURN(const nlohmann::json job_file, JobFileOf(flags));
  ASSIGN_OR_RETURN(*request.mutable_spec(), ParseJobFile("mine", job_file.dump(), flags.overrides));
  request.set_request_id(RequestIdOr(flags.request_id));
  ASSIGN_OR_RETURN(const Connection connection, Connection::Open(cli.connection));
  const auto stub = JobService::NewStub(connection.coordinator());
  ASSIGN_OR_RETURN(const muster::v1::Job job, SubmitJobOf("mine", *stub, std::move(request)));
  AnnounceJob(cli, job);
  ASSIGN_OR_RETURN(const int code, FollowJob(cli, connection, job.id(), {}));
  if (code == kExitSucceeded && cli.output == OutputFormat::kTable) {
    std::printf("what it holds: muster data report %s\nto train with it: data.train: %s, and data.negatives.per_query\n",
                flags.out.c_str(), flags.out.c_str());
  }
  return code;
}

}  // namespace

void AddMineCommand(CLI::App& app, Cli& cli) {
  auto flags = std::make_shared<MineFlags>();
  CLI::App* command = app.add_subcommand("mine", "Find hard negatives with a model")->fallthrough();
  command->add_option("dataset", flags->dataset, "An imported dataset")->required()->type_name("DATASET");
  command->add_option("--model", flags->model, "A pushed model, job:JOB, or job:JOB@STEP")->required()->type_name("MODEL");
  command->add_option("--out", flags->out, "Name of the dataset with the negatives: a new one, or DATASET itself")
      ->required()
      ->type_name("NAME");
  command->add_option("--split", flags->split, "Split whose queries get negatives (train)")->type_name("SPLIT");
  command->add_option("--ranks", flags->ranks, "Ranks of the model's ranking to take negatives from (1-100)")
      ->type_name("FIRST-LAST");
  command->add_option("--per-query", flags->per_query, "At most this many negatives per query (4)")->type_name("N");
  command
      ->add_option("--absolute-margin", flags->absolute_margin,
                   "A negative scores at least this much less than the query's lowest positive (no such limit)")
      ->type_name("X");
  command
      ->add_option("--relative-margin", flags->relative_margin,
                   "A negative scores at most this share of the query's lowest positive; 0: no such limit (0.95)")
      ->type_name("SHARE");
  command->add_option("--sampling", flags->sampling, "Take the highest ranks, or any of the range: top, random (top)")
      ->check(CLI::IsMember(std::vector<std::string>{"top", "random"}))
      ->type_name("HOW");
  command->add_option("--seed", flags->seed, "Seed of the sampling (17)")->type_name("K");
  command->add_option("--set", flags->overrides, "A field of the job: --set resources.slots.min=4; may be repeated")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  command->add_option("--request-id", flags->request_id, "Id of this request; repeating it returns the same job")
      ->type_name("ID");
  command->callback([&cli, flags] { cli.action = [&cli, flags] { return MineNegatives(cli, *flags); }; });
}

}  // namespace muster
