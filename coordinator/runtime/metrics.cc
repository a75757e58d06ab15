#include "coordinator/runtime/metrics.h"

#include <system_error>
#include <utility>

namespace muster {
namespace {

using muster::v1::JobPhase;

const char* EndName(AttemptEnd end) {
  switch (end) {
    case AttemptEnd::kSucceeded: return "succeeded";
    case AttemptEnd::kFailed: return "failed";
    case AttemptEnd::kLost: return "lost";
    case AttemptEnd::kNoProgress: return "no_progress";
    case AttemptEnd::kStopped: return "stopped";
    case AttemptEnd::kRefused: return "refused";
    case AttemptEnd::kCancelled: return "cancelled";
    case AttemptEnd::kPaused: return "paused";
    case AttemptEnd::kServerLost: return "server_lost";
  }
  return "failed";
}

std::vector<std::string> LabelOf(const Measured& measured) {
  if (measured.label.empty()) return {};
  return {measured.label};
}

}  // namespace

const char* FamilyOf(Measure measure) {
  switch (measure) {
    case Measure::kDecisions: return "muster_scheduling_decisions_total";
    case Measure::kSilences: return "muster_worker_silences_total";
    case Measure::kDeafSeconds: return "muster_coordinator_deaf_seconds_total";
    case Measure::kRecoverySeconds: return "muster_recovery_seconds";
    case Measure::kGoodputSeconds: return "muster_goodput_seconds_total";
    case Measure::kEpochQueries: return "muster_epoch_queries_total";
    case Measure::kRankDisagreements: return "muster_rank_disagreements_total";
    case Measure::kCheckpoints: return "muster_checkpoints_total";
    case Measure::kCheckpointBytes: return "muster_checkpoint_bytes_total";
    case Measure::kCheckpointSeconds: return "muster_checkpoint_seconds";
    case Measure::kCheckpointsRefused: return "muster_checkpoints_refused_total";
    case Measure::kCount: break;
  }
  return "";
}

CoordinatorMetrics::CoordinatorMetrics(const std::string& version, std::filesystem::path folder)
    : metrics_(MetricProgram::kCoordinator, version),
      folder_(std::move(folder)),
      transitions_(metrics_.Counters("muster_job_transitions_total")),
      stale_(metrics_.Counters("muster_stale_requests_total", /*preset=*/false)),
      attempts_(metrics_.Counters("muster_attempts_total")),
      queue_wait_(metrics_.AddHistogram("muster_queue_wait_seconds")),
      journal_write_(metrics_.AddHistogram("muster_journal_write_seconds")),
      turn_(metrics_.AddHistogram("muster_event_loop_turn_seconds")),
      plan_(metrics_.AddHistogram("muster_placement_seconds")),
      state_free_(metrics_.AddGauge("muster_state_free_bytes")),
      state_size_(metrics_.AddGauge("muster_state_size_bytes")) {
  for (const char* kind : {"prepared", "refused", "rank_started", "rank_exited", "checkpoint", "checkpoint_refused",
                           "evaluation", "exported", "epoch_closed", "trace", "progress", "unknown"}) {
    stale_.With({kind});
  }
  for (int i = 0; i < static_cast<int>(Measure::kCount); ++i) {
    const auto measure = static_cast<Measure>(i);
    const MetricFamily* family = FindMetric(FamilyOf(measure));
    if (family != nullptr && family->type == MetricType::kHistogram) {
      HistogramFamily histograms = metrics_.Histograms(family->name);
      if (family->labels.empty()) histograms.With({});
      histograms_.emplace(measure, histograms);
    } else {
      CounterFamily counters = metrics_.Counters(FamilyOf(measure));  // ends the program if it is not declared
      if (family->labels.empty()) counters.With({});
      counters_.emplace(measure, counters);
    }
  }
  // All gauges that GaugesOf may set.
  for (const MetricFamily& family : MetricCatalogue()) {
    const bool served_elsewhere = (family.programs & ~kCoordinatorServes) != 0;
    if (family.type != MetricType::kGauge || (family.programs & kCoordinatorServes) == 0 || served_elsewhere) continue;
    gauges_.emplace(std::string(family.name), metrics_.Gauges(family.name));
  }
}

void CoordinatorMetrics::CountTransition(JobPhase phase) {
  transitions_.With({std::string(PhaseName(phase))}).Increment();
}
void CoordinatorMetrics::CountStaleRequest(const std::string& kind) { stale_.With({kind}).Increment(); }
void CoordinatorMetrics::CountAttemptEnd(AttemptEnd end) { attempts_.With({EndName(end)}).Increment(); }
void CoordinatorMetrics::ObserveQueueWaiting(absl::Duration wait) { queue_wait_.Observe(absl::ToDoubleSeconds(wait)); }
void CoordinatorMetrics::ObserveJournalWrite(absl::Duration time) {
  journal_write_.Observe(absl::ToDoubleSeconds(time));
}

void CoordinatorMetrics::Take(const Measured& measured) {
  if (const auto counter = counters_.find(measured.measure); counter != counters_.end()) {
    counter->second.With(LabelOf(measured)).Increment(measured.value);
  } else if (const auto histogram = histograms_.find(measured.measure); histogram != histograms_.end()) {
    histogram->second.With(LabelOf(measured)).Observe(measured.value);
  }
}

void CoordinatorMetrics::ObserveTurn(absl::Duration time) { turn_.Observe(absl::ToDoubleSeconds(time)); }
void CoordinatorMetrics::ObservePlan(absl::Duration time) { plan_.Observe(absl::ToDoubleSeconds(time)); }

std::shared_ptr<prometheus::Registry> CoordinatorMetrics::WithGauges(std::function<std::vector<GaugeSample>()> take) {
  class Scraped final : public prometheus::Registry {
   public:
    Scraped(CoordinatorMetrics& metrics, std::function<std::vector<GaugeSample>()> take)
        : metrics_(metrics), take_(std::move(take)) {}
    std::vector<prometheus::MetricFamily> Collect() const override {
      if (const std::vector<GaugeSample> samples = take_(); !samples.empty()) metrics_.SetGauges(samples);
      return metrics_.registry().registry()->Collect();
    }

   private:
    CoordinatorMetrics& metrics_;
    const std::function<std::vector<GaugeSample>()> take_;
  };
  return std::make_shared<Scraped>(*this, std::move(take));
}

void CoordinatorMetrics::SetGauges(const std::vector<GaugeSample>& samples) {
  for (const GaugeSample& sample : samples) {
    gauges_.at(sample.family).Set(sample.labels, sample.value);
  }
  for (auto& [name, round] : gauges_) round.End();
  if (folder_.empty()) return;
  std::error_code error;
  const std::filesystem::space_info volume = std::filesystem::space(folder_, error);
  if (error) return;
  state_free_.Set(static_cast<double>(volume.available));
  state_size_.Set(static_cast<double>(volume.capacity));
}

}  // namespace muster
