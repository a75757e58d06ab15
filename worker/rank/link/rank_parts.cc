#include "worker/rank/link/rank_parts.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/spec/job_spec.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::rank::v1::RankConfig;
using muster::rank::v1::RankMessage;

constexpr absl::Duration kBlobPatience = absl::Minutes(2);  // while the server can be reached

}  // namespace

absl::StatusOr<std::unique_ptr<RankParts>> RankParts::Make(const RankConfig& config, AgentPipe& agent, const Clock& clock,
                                                           const std::atomic<StopRequest>& stop) {
  auto parts = absl::WrapUnique(new RankParts(config, agent, clock, stop));
  RETURN_IF_ERROR(parts->Connect());
  RETURN_IF_ERROR(parts->Load());
  return parts;
}

RankParts::RankParts(const RankConfig& config, AgentPipe& agent, const Clock& clock, const std::atomic<StopRequest>& stop)
    : config(config),
      spec(config.spec()),
      stages(StagesOf(config.resolved())),
      agent(agent),
      clock(clock),
      stop(stop),
      progress(config, agent, clock, board),
      audit(config),
      steps(std::filesystem::path(config.scratch()) / kStepLogFile) {}

absl::Status RankParts::Connect() {
  progress.Activity("connecting");
  ASSIGN_OR_RETURN(channels, muster::Connect(config));
  data_watch = std::make_unique<ReachabilityWatch>(
      ReachabilityWatch::Options{.channel = channels.data, .name = absl::StrCat("data server ", config.data_addresses(0))});
  activity = std::make_unique<ActivityReporter>(
      agent, board,
      ActivityReporter::Options{.rank = config.rank(), .unreachable = [this] { return data_watch->Unreachable(); }});
  ASSIGN_OR_RETURN(device, OpenDevice(config));
  spdlog::info("job {} attempt {}: rank {} of {}, on {}, {} threads", config.job_id(), config.attempt(), config.rank(),
               config.world_size(), device.device.str(), config.threads());
  streams = MakeStreams(device.device, clock);
  blobs = std::make_unique<BlobClient>(channels.data, kBlobPatience, data_watch.get());
  board.BeginCollective("meeting the other ranks");
  ASSIGN_OR_RETURN(group, JoinAttempt(config, channels, device));
  board.EndCollective();
  group = MakeObservedGroup(std::move(group), board);
  ASSIGN_OR_RETURN(threads, ThreadsOfAllRanks(*group));
  return absl::OkStatus();
}

absl::Status RankParts::Load() {
  if (config.rank() == 0) TolerateLogError(steps.Clear());
  progress.Activity("loading the model");
  ASSIGN_OR_RETURN(LoadedModel loaded, LoadModel(config, *blobs, device.device));
  encoder = std::move(loaded.encoder);
  tokenizer = std::move(loaded.tokenizer);
  model_folder = std::move(loaded.folder);
  ASSIGN_OR_RETURN(const TrainerOptions options, OptionsOfTrainer());
  trainer = std::make_unique<Trainer>(*encoder, *group, clock, options);
  cursor = {.total_steps = TotalSteps(),
            .seed = spec.seed(),
            .spec_digest = SpecDigest(spec, config.resolved()),
            .threads = threads};
  writer = std::make_unique<CheckpointWriter>(*blobs, OptionsOfWriter());
  if (config.rank() == 0 && !EvaluatesOnly(spec)) writer->Prepare(*encoder, trainer->optimizer());
  return absl::OkStatus();
}

absl::StatusOr<TrainerOptions> RankParts::OptionsOfTrainer() {
  ASSIGN_OR_RETURN(TrainerOptions options, TrainerOptionsFrom(spec, encoder->config(), TotalSteps()));
  options.stages = TrainingStagesOf(spec, config.resolved());
  options.tokenizer = tokenizer;
  options.board = &board;
  options.streams = streams;
  return options;
}

CheckpointWriter::Options RankParts::OptionsOfWriter() {
  return {.attempt = config.attempt(),
          .scratch = config.scratch(),
          .stored = [this](const muster::v1::CheckpointInfo& checkpoint) {
            RankMessage message;
            *message.mutable_checkpoint()->mutable_checkpoint() = checkpoint;
            agent.Send(message).IgnoreError();  // if the agent has exited, other code ends this process
          }};
}

void RankParts::TolerateLogError(const absl::Status& log) {
  if (log.ok() || log_failed) return;
  log_failed = true;
  spdlog::warn("steps are missing in the step log: {}", std::string(log.message()));
}

}  // namespace muster
