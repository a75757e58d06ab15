#include "worker/rank/link/step_trace.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>

#include "common/files.h"
#include "common/status.h"

namespace muster {

using muster::rank::v1::RankConfig;
using muster::rank::v1::RankMessage;

StepTrace::StepTrace(const RankConfig& config, uint64_t steps_left, bool gpu, BlobClient& blobs, AgentPipe& agent)
    : config_(config),
      folder_(std::filesystem::path(config.scratch()) / "trace"),
      blobs_(blobs),
      agent_(agent),
      recorder_({.skip = std::min<uint64_t>(2, steps_left == 0 ? 0 : steps_left - 1),  // a short run records its last step
                 .steps = config.rank() == 0 ? config.spec().trace_steps() : 0,
                 .file = folder_ / "trace.json",
                 .gpu = gpu}) {
  // If this fails, the recorder reports that it cannot write its file.
  if (config.rank() == 0 && config.spec().trace_steps() > 0) MakeFolders(folder_).IgnoreError();
}

void StepTrace::AfterStep(bool last) {
  const absl::StatusOr<bool> written = recorder_.AfterStep(last);
  absl::Status status = written.status();
  if (status.ok() && !*written) return;
  if (status.ok()) status = Store();
  if (!status.ok()) spdlog::warn("the trace is not kept: {}", std::string(status.message()));
}

absl::Status StepTrace::Store() {
  ASSIGN_OR_RETURN(const auto files, blobs_.PutFolder(folder_));
  RankMessage message;
  ASSIGN_OR_RETURN(*message.mutable_trace()->mutable_manifest(), blobs_.PutManifest(files));
  spdlog::info("the trace of {} steps is stored. Read it with: muster trace {} FILE", config_.spec().trace_steps(),
               config_.job_id());
  return agent_.Send(message);
}

}  // namespace muster
