#include "coordinator/core/submission.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace muster {
namespace {

using journal::v1::StoredJob;
using muster::v1::Job;

bool TrainSameModel(const StoredJob& a, const Job& b) {
  return a.resolved().model_manifest() == b.resolved().model_manifest() &&
         a.spec().model().preset() == b.spec().model().preset() &&
         a.spec().model().has_lora() == b.spec().model().has_lora();
}

int RanksOfNewestAttempt(const StoredJob& job) {
  return job.attempts().empty() ? 0 : job.attempts(job.attempts_size() - 1).ranks_size();
}

}  // namespace

muster::v1::Device DecidedDevice(const State& state, muster::v1::Device device) {
  if (device != muster::v1::DEVICE_AUTO && device != muster::v1::DEVICE_UNSPECIFIED) return device;
  return state.index.gpu_workers > 0 ? muster::v1::DEVICE_GPU : muster::v1::DEVICE_CPU;
}

void EstimateSeconds(const State& state, const Soft& soft, const Job& planned, muster::v1::TrainingPreview& preview) {
  if (preview.total_steps() == 0 || preview.tokens_per_step() == 0) return;
  const auto& resources = planned.spec().resources();
  const StoredJob* like = nullptr;
  uint64_t sequence = 0;
  double speed = 0;
  for (const auto& [id, record] : state.jobs) {
    const StoredJob& job = record.job();
    if (!TrainSameModel(job, planned) || job.spec().resources().device() != resources.device()) continue;
    const auto ranks = static_cast<uint32_t>(RanksOfNewestAttempt(job));
    if (ranks < resources.slots().min() || ranks > resources.slots().max()) continue;
    // A running job's progress is in the soft state; that of an attempt that ended is in the record.
    const auto running = soft.jobs.find(id);
    const double own = running != soft.jobs.end() && running->second.progress.tokens_per_second() > 0
                           ? running->second.progress.tokens_per_second()
                           : job.progress().tokens_per_second();
    if (own <= 0 || record.sequence() < sequence) continue;
    like = &job;
    sequence = record.sequence();
    speed = own;
  }
  if (like == nullptr) {
    preview.add_notes("time: not known, no like job (same model, device and number of ranks) ran yet");
    return;
  }
  preview.set_seconds(static_cast<double>(preview.total_steps()) * preview.tokens_per_step() / speed);
  preview.add_notes(absl::StrCat("time: as job ", like->id(), " ran its last step, ", absl::StrFormat("%.0f", speed),
                                 " tokens per second on ", RanksOfNewestAttempt(*like),
                                 " ranks; without loading, evaluation and export"));
}

}  // namespace muster
