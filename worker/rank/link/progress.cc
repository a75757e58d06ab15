#include "worker/rank/link/progress.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace muster {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(200);
constexpr absl::Duration kLogInterval = absl::Seconds(10);
constexpr double kMemory = 0.9;  // of the running mean of step times

}  // namespace

ProgressReporter::ProgressReporter(const muster::rank::v1::RankConfig& config, AgentPipe& agent, const Clock& clock,
                                   ActivityBoard& board)
    : silent_(config.rank() != 0),
      agent_(agent),
      clock_(clock),
      board_(board),
      stages_(StagesOf(config.resolved())) {
  progress_.set_total_steps(config.resolved().total_steps());
  if (stages_.size() > 1) progress_.set_stages(static_cast<uint32_t>(stages_.size()));
}

void ProgressReporter::Activity(const std::string& activity, double done) {
  const bool changed = progress_.activity() != activity;
  board_.SetActivity(activity);
  if (changed && !silent_) spdlog::info("{}", activity);
  progress_.set_activity(activity);
  progress_.set_done(done);
  Send(changed);
}

void ProgressReporter::Step(const StepReport& report, uint64_t steps_done, double seconds, bool always) {
  mean_step_seconds_ = mean_step_seconds_ == 0 ? seconds : kMemory * mean_step_seconds_ + (1 - kMemory) * seconds;
  const bool changed = progress_.activity() != "training";
  progress_.set_activity("training");
  progress_.set_step(steps_done);
  board_.SetStep(steps_done);
  const size_t stage = StageAt(stages_, report.step);
  if (stages_.size() > 1) progress_.set_stage(static_cast<uint32_t>(stage + 1));
  progress_.set_epoch(static_cast<double>(steps_done - stages_[stage].begin) /
                      static_cast<double>(std::max<uint64_t>(1, stages_[stage].steps_per_epoch)));
  progress_.set_done(static_cast<double>(steps_done) / std::max<uint64_t>(1, progress_.total_steps()));
  progress_.set_loss(report.loss);
  progress_.set_learning_rate(report.learning_rate);
  progress_.set_gradient_norm(report.gradient_norm);
  if (seconds > 0) {
    progress_.set_queries_per_second(static_cast<double>(report.queries) / seconds);
    progress_.set_tokens_per_second(static_cast<double>(report.tokens) / seconds);
  }
  progress_.set_eta_seconds(mean_step_seconds_ * static_cast<double>(progress_.total_steps() - steps_done));
  progress_.mutable_seconds()->clear();
  double other = seconds;
  for (const auto& [phase, spent] : report.seconds) {
    (*progress_.mutable_seconds())[PhaseName(phase)] = spent;
    other -= spent;
  }
  (*progress_.mutable_seconds())["other"] = std::max(0.0, other);
  progress_.set_positive_entropy(report.positive_entropy);
  progress_.mutable_positive_weights()->Assign(report.positive_weights.begin(), report.positive_weights.end());
  progress_.set_noise_weight(report.noise_weight.value_or(0));
  progress_.set_mean_positive(report.mean_positive);
  progress_.set_mean_negative(report.mean_negative);
  progress_.set_ignored_pairs(static_cast<uint64_t>(report.ignored_pairs));
  progress_.set_gathered_bytes(report.gathered_bytes);
  progress_.set_rank_skew_seconds(report.rank_skew_seconds);
  progress_.set_product_share(report.product_share);
  progress_.set_peak_memory_bytes(report.peak_memory_bytes);
  progress_.set_train_seconds(progress_.train_seconds() + seconds);
  LogStep(always || changed);
  Send(always || changed);
}

void ProgressReporter::LogStep(bool always) {
  const absl::Duration now = clock_.Monotonic();
  if (silent_ || (!always && now - last_logged_ < kLogInterval)) return;
  last_logged_ = now;
  spdlog::info("step {}/{}: loss {:.4f}, learning rate {:.3g}, gradient norm {:.4f}, {:.1f} queries/s", progress_.step(),
               progress_.total_steps(), progress_.loss(), progress_.learning_rate(), progress_.gradient_norm(),
               progress_.queries_per_second());
}

void ProgressReporter::Send(bool always) {
  const absl::Duration now = clock_.Monotonic();
  if (silent_ || (!always && now - last_sent_ < kInterval)) return;
  last_sent_ = now;
  muster::rank::v1::RankMessage message;
  *message.mutable_progress() = progress_;
  agent_.Send(message).IgnoreError();  // other code ends this process if the agent has exited
}

}  // namespace muster
