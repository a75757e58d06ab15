#include "worker/rank/link/restore_newest.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/damaged_checkpoints.h"
#include "common/status.h"
#include "worker/rank/link/exit_cause.h"
#include "worker/rank/link/restore.h"

namespace muster {
namespace {

using muster::rank::v1::RankMessage;
using muster::v1::CheckpointInfo;

absl::StatusOr<RestoredCheckpoint> RestoreWithProgress(const CheckpointInfo& checkpoint, RankParts& parts) {
  const std::string activity = "restoring a checkpoint";
  parts.progress.Activity(activity);
  return RestoreStored(checkpoint, *parts.blobs, parts.config.scratch(),
                       {.spec_digest = parts.cursor.spec_digest,
                        .encoder = *parts.encoder,
                        .optimizer = parts.trainer->optimizer(),
                        .steps = parts.config.rank() == 0 ? &parts.steps : nullptr},
                       [&](uint64_t done, uint64_t total) {
                         const double all = std::max<double>(1, static_cast<double>(total));
                         parts.progress.Activity(activity, static_cast<double>(done) / all);
                       });
}

absl::Status ReportDamage(const CheckpointInfo& checkpoint, absl::string_view reason, AgentPipe& agent) {
  RankMessage message;
  message.mutable_checkpoint_refused()->set_step(checkpoint.step());
  message.mutable_checkpoint_refused()->set_manifest(checkpoint.manifest());
  message.mutable_checkpoint_refused()->set_reason(std::string(reason));
  return agent.Send(message);
}

// Returns the damage that a rank found; empty: all ranks continue from this checkpoint.
absl::StatusOr<std::string> RestoreOnAllRanks(const CheckpointInfo& checkpoint, RankParts& parts) {
  auto restored = RestoreWithProgress(checkpoint, parts);
  std::string own_damage;
  if (absl::IsDataLoss(restored.status())) {
    own_damage = absl::StrCat("rank ", parts.config.rank(), ": ", restored.status().message());
    RETURN_IF_ERROR(ReportDamage(checkpoint, restored.status().message(), parts.agent));
  } else if (!restored.ok()) {
    return restored.status();
  }
  ASSIGN_OR_RETURN(const auto damages, parts.group->AllGatherBytes(own_damage));
  for (const std::string& found : damages) {
    if (!found.empty()) return found;
  }
  parts.cursor = std::move(restored->cursor);
  parts.best = std::move(restored->best);
  spdlog::info("continues from the checkpoint of step {}", parts.cursor.step);
  if (const std::string note = RoundingNote(parts.cursor.threads, parts.threads); !note.empty()) spdlog::warn("{}", note);
  parts.cursor.threads = parts.threads;
  return "";
}

}  // namespace

absl::Status RestoreNewest(RankParts& parts) {
  std::vector<uint64_t> damaged;
  std::string newest;
  for (const CheckpointInfo& checkpoint : parts.config.checkpoints()) {
    ASSIGN_OR_RETURN(const std::string damage, RestoreOnAllRanks(checkpoint, parts));
    if (damage.empty()) return absl::OkStatus();
    spdlog::warn("the checkpoint of step {} is damaged: {}", checkpoint.step(), damage);
    if (damaged.empty()) newest = damage;
    damaged.insert(damaged.begin(), checkpoint.step());
  }
  if (damaged.empty()) return absl::OkStatus();
  return WithReason(absl::DataLossError(AllCheckpointsDamaged(damaged, newest)), kAllDamaged);
}

}  // namespace muster
