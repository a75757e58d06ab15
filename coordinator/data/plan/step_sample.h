// A sample of a job's steps, as the planner would plan them, and their cost, computed before any rank runs.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "coordinator/data/dataset.h"
#include "coordinator/data/plan/job_plan.h"
#include "coordinator/data/plan/sequences.h"
#include "coordinator/data/plan/step_plan.h"
#include "muster/v1/job.pb.h"

namespace muster {

struct StepSample {
  std::vector<StepPlan> plans;
  std::vector<uint32_t> queries, passages;  // of all plans: numbers of TrainingTexts, ascending, each once
};
// Samples the first step, the last one, and steps spread evenly between them: at most `most_steps`, and stops when they hold
// `most_texts` sequences. `total_steps` is at least 1.
StepSample SampleSteps(const JobPlan& job, uint64_t total_steps, size_t most_steps, size_t most_texts);

// The texts of a sample as a separate dataset, so that only they are tokenized: query i is sample.queries[i]. It
// has no documents and no judgments. Keeps references to both arguments.
class SampledTexts final : public Dataset {
 public:
  SampledTexts(const TrainingTexts& texts, const StepSample& sample) : texts_(texts), sample_(sample) {}

  const std::string& digest() const override { return texts_.datasets()[0]->digest(); }
  uint32_t passages() const override { return static_cast<uint32_t>(sample_.passages.size()); }
  std::string_view title(uint32_t passage) const override {
    const auto [dataset, index] = texts_.PassagePlace(sample_.passages[passage]);
    return texts_.datasets()[dataset]->title(index);
  }
  std::string_view body(uint32_t passage) const override {
    const auto [dataset, index] = texts_.PassagePlace(sample_.passages[passage]);
    return texts_.datasets()[dataset]->body(index);
  }
  uint32_t documents() const override { return 0; }
  std::string_view document_id(uint32_t) const override { return {}; }
  uint32_t passage_of(uint32_t) const override { return 0; }
  uint32_t queries() const override { return static_cast<uint32_t>(sample_.queries.size()); }
  std::string_view query_id(uint32_t query) const override { return DatasetOf(query).query_id(IndexOf(query)); }
  std::string_view query_text(uint32_t query) const override { return DatasetOf(query).query_text(IndexOf(query)); }
  float query_weight(uint32_t query) const override { return DatasetOf(query).query_weight(IndexOf(query)); }
  uint64_t query_digest(uint32_t query) const override { return DatasetOf(query).query_digest(IndexOf(query)); }
  const std::vector<std::string>& sources() const override { return texts_.datasets()[0]->sources(); }
  const std::vector<std::string>& splits() const override { return texts_.datasets()[0]->splits(); }
  std::span<const Judgment> judgments(uint32_t, uint32_t) const override { return {}; }

 private:
  const Dataset& DatasetOf(uint32_t query) const {
    return *texts_.datasets()[texts_.QueryPlace(sample_.queries[query]).dataset];
  }
  uint32_t IndexOf(uint32_t query) const { return texts_.QueryPlace(sample_.queries[query]).index; }

  const TrainingTexts& texts_;
  const StepSample& sample_;
};

// Fills in the figures of the sampled steps. Both are made from the tokens of SampledTexts: `cut` at the job's lengths, `whole`
// not cut. Returns the most sequences of a step.
uint64_t MeasureSample(const StepSample& sample, const Sequences& cut, const Sequences& whole,
                       muster::v1::TrainingPreview& preview);

}  // namespace muster
