#include "coordinator/data/plan/step_sample.h"

#include <algorithm>

namespace muster {
namespace {

void SortUnique(std::vector<uint32_t>& indices) {
  std::ranges::sort(indices);
  indices.erase(std::ranges::unique(indices).begin(), indices.end());
}

uint32_t PlaceOf(const std::vector<uint32_t>& sorted, uint32_t index) {
  return static_cast<uint32_t>(std::ranges::lower_bound(sorted, index) - sorted.begin());
}

struct Tally {
  uint64_t sequences = 0, tokens = 0, truncated = 0;
  void Add(uint32_t length, uint32_t whole) {
    ++sequences;
    tokens += length;
    truncated += whole > length;
  }
};

}  // namespace

StepSample SampleSteps(const JobPlan& job, uint64_t total_steps, size_t most_steps, size_t most_texts) {
  StepSample sample;
  const uint64_t count = std::min<uint64_t>(total_steps, most_steps);
  for (uint64_t i = 0; i < count && sample.queries.size() + sample.passages.size() < most_texts; ++i) {
    // (total - 1) * i / (count - 1), in an order that does not overflow.
    const uint64_t last = total_steps - 1, parts = std::max<uint64_t>(1, count - 1);
    const uint64_t step = last / parts * i + last % parts * i / parts;
    const StepPlan& plan = sample.plans.emplace_back(PlanStep(job, step));
    sample.queries.insert(sample.queries.end(), plan.queries.begin(), plan.queries.end());
    sample.passages.insert(sample.passages.end(), plan.passages.begin(), plan.passages.end());
  }
  SortUnique(sample.queries);
  SortUnique(sample.passages);
  return sample;
}

uint64_t MeasureSample(const StepSample& sample, const Sequences& cut, const Sequences& whole,
                       muster::v1::TrainingPreview& preview) {
  Tally all;
  uint64_t rows = 0, positives = 0, ignored = 0, pairs = 0, largest_tokens = 0, most_sequences = 0;
  for (const StepPlan& plan : sample.plans) {
    Tally step;
    for (const uint32_t query : plan.queries) {
      const uint32_t place = PlaceOf(sample.queries, query);
      step.Add(cut.QueryLength(place), whole.QueryLength(place));
    }
    for (const uint32_t passage : plan.passages) {
      const uint32_t place = PlaceOf(sample.passages, passage);
      step.Add(cut.PassageLength(place), whole.PassageLength(place));
    }
    all.sequences += step.sequences;
    all.tokens += step.tokens;
    all.truncated += step.truncated;
    largest_tokens = std::max(largest_tokens, step.tokens);
    most_sequences = std::max(most_sequences, step.sequences);
    rows += plan.queries.size();
    positives += plan.positives.size();
    ignored += plan.ignored.size();
    pairs += plan.queries.size() * plan.passages.size();
  }
  const auto mean = [](uint64_t sum, uint64_t count) {
    return count == 0 ? 0.0 : static_cast<double>(sum) / static_cast<double>(count);
  };
  preview.set_sampled_steps(sample.plans.size());
  preview.set_sequences_per_step(mean(all.sequences, sample.plans.size()));
  preview.set_tokens_per_step(mean(all.tokens, sample.plans.size()));
  preview.set_largest_step_tokens(largest_tokens);
  preview.set_positives_per_query(mean(positives, rows));
  preview.set_ignored_per_query(mean(ignored, rows));
  preview.set_negatives_per_query(mean(pairs - positives - ignored, rows));
  preview.set_truncated_share(mean(all.truncated, all.sequences));
  return most_sequences;
}

}  // namespace muster
