#include "coordinator/core/submission.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace muster {
namespace {

using journal::v1::StoredJob;
using muster::v1::Job;

// How many of the newest jobs with the same model and number of ranks are used for the estimate. Older ones are less useful.
constexpr int kMostAsked = 100;

int RanksOfNewestAttempt(const StoredJob& job) {
  return job.attempts().empty() ? 0 : job.attempts(job.attempts_size() - 1).ranks_size();
}

// Tokens per second of the job's last step; 0 if not known. The progress of a running job is in the soft state, and that of an
// ended attempt in the record.
double TokensPerSecond(const StoredJob& job, const Soft& soft) {
  const auto running = soft.jobs.find(job.id());
  const double now = running == soft.jobs.end() ? 0 : running->second.progress.tokens_per_second();
  return now > 0 ? now : job.progress().tokens_per_second();
}

}  // namespace

muster::v1::Device DecidedDevice(const State& state, muster::v1::Device device) {
  if (device != muster::v1::DEVICE_AUTO && device != muster::v1::DEVICE_UNSPECIFIED) return device;
  return state.index.gpu_workers > 0 ? muster::v1::DEVICE_GPU : muster::v1::DEVICE_CPU;
}

void EstimateSeconds(const State& state, const Soft& soft, const Job& planned, muster::v1::TrainingPreview& preview) {
  if (preview.total_steps() == 0 || preview.tokens_per_step() == 0) return;
  const auto& slots = planned.spec().resources().slots();
  const StoredJob* like = nullptr;
  uint64_t sequence = 0;
  double speed = 0;
  if (const auto model = state.index.ran.find(WorkKey(planned.spec(), planned.resolved())); model != state.index.ran.end()) {
    const auto end = model->second.upper_bound(slots.max());
    for (auto ranks = model->second.lower_bound(slots.min()); ranks != end; ++ranks) {
      int looks = 0;
      for (auto next = ranks->second.rbegin(); next != ranks->second.rend() && ++looks <= kMostAsked; ++next) {
        if (next->first < sequence) break;
        const StoredJob& job = state.jobs.at(next->second).job();
        const double own = TokensPerSecond(job, soft);
        if (own <= 0) continue;
        like = &job;
        sequence = next->first;
        speed = own;
        break;
      }
    }
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
