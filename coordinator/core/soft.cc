#include "coordinator/core/soft.h"

#include <algorithm>

namespace muster {

bool NoteProgress(const muster::internal::v1::ProgressReport& report, absl::Time now, SoftJob& job) {
  const muster::v1::Progress& next = report.progress();
  const bool moved = job.attempt != report.attempt() || job.progress.step() != next.step() ||
                     job.progress.activity() != next.activity() || job.progress.done() != next.done();
  job.attempt = report.attempt();
  job.progress = next;
  if (moved) job.changed = now;
  return moved;
}

absl::Duration AwakeSince(const Soft& soft, absl::Time since, absl::Time now) {
  return soft.awake.Between(std::max(since, soft.started), now);
}

absl::Duration SilentFor(const Soft& soft, const std::string& worker, absl::Time now) {
  const auto found = soft.workers.find(worker);
  return AwakeSince(soft, found == soft.workers.end() ? soft.started : found->second.last_heard, now);
}

}  // namespace muster
