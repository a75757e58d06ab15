#include "coordinator/core/soft.h"

#include <algorithm>

namespace muster {

bool NoteProgress(const muster::v1::ProgressReport& report, absl::Time now, SoftJob& job) {
  const muster::v1::Progress& next = report.progress();
  const bool moved = job.attempt != report.attempt() || job.progress.step() != next.step() ||
                     job.progress.activity() != next.activity() || job.progress.done() != next.done();
  job.attempt = report.attempt();
  job.progress = next;
  if (moved) job.changed = now;
  return moved;
}

absl::Time LastHeard(const Soft& soft, const std::string& worker) {
  const auto found = soft.workers.find(worker);
  return found == soft.workers.end() ? soft.started : std::max(soft.started, found->second.last_heard);
}

}  // namespace muster
