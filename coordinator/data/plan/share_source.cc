#include "coordinator/data/plan/share_source.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/sample_ledger.h"
#include "common/spec/training_sets.h"
#include "common/status.h"
#include "coordinator/data/plan/assign_sequences.h"
#include "coordinator/data/plan/job_plan.h"
#include "coordinator/data/plan/sequences.h"
#include "coordinator/data/plan/step_plan.h"

namespace muster {
namespace {

using muster::internal::v1::StepShare;

constexpr size_t kCacheBytes = 64 << 20;  // number of plans to keep, approximately
constexpr size_t kCachePlans = 1024;

// A step planned and assigned to the ranks of one world size.
struct AssignedStep {
  StepPlan plan;
  std::vector<RankLoad> ranks;
};

size_t MemoryBytes(const AssignedStep& step) {
  size_t bytes = step.plan.MemoryBytes();
  for (const RankLoad& rank : step.ranks) {
    bytes += sizeof rank + sizeof(uint32_t) * (rank.slots.capacity() + rank.micro_batch_ends.capacity());
  }
  return bytes;
}

AssignedStep PlanAndAssign(const JobPlan& job, const Sequences& sequences, uint32_t micro_batch_tokens, uint64_t step,
                      uint32_t world_size) {
  AssignedStep assigned{PlanStep(job, step), {}};
  std::vector<Sequence> all;
  all.reserve(assigned.plan.queries.size() + assigned.plan.passages.size());
  for (const uint32_t query : assigned.plan.queries) {
    all.push_back({static_cast<uint32_t>(all.size()), sequences.QueryLength(query)});
  }
  for (const uint32_t passage : assigned.plan.passages) {
    all.push_back({static_cast<uint32_t>(all.size()), sequences.PassageLength(passage)});
  }
  assigned.ranks = AssignSequences(std::move(all), world_size, micro_batch_tokens);
  return assigned;
}

// The part begin..end-1 of CSR edges, with offsets from 0.
template <typename Field>
void CopyEdges(const std::vector<uint32_t>& offsets, const std::vector<uint32_t>& columns, uint32_t begin, uint32_t end,
               Field& offsets_out, Field& columns_out) {
  for (uint32_t row = begin; row <= end; ++row) offsets_out.Add(offsets[row] - offsets[begin]);
  columns_out.Add(columns.begin() + offsets[begin], columns.begin() + offsets[end]);
}

void AddSlotsOfAllRanks(const AssignedStep& assigned, StepShare& share) {
  for (const RankLoad& load : assigned.ranks) {
    share.add_rank_counts(static_cast<uint32_t>(load.slots.size()));
    share.mutable_gather_slots()->Add(load.slots.begin(), load.slots.end());
  }
}

StepShare ShareOf(const AssignedStep& assigned, const TrainingTexts& texts, const Sequences& sequences, uint32_t rank,
                  ShareForm form) {
  const StepPlan& plan = assigned.plan;
  StepShare share;
  share.set_step(plan.step);
  share.set_epoch(plan.epoch);
  share.set_stage(plan.stage);
  share.set_training_set(plan.training_set);
  share.set_epoch_end(plan.epoch_end);
  share.set_query_count(static_cast<uint32_t>(plan.queries.size()));
  share.set_passage_count(static_cast<uint32_t>(plan.passages.size()));
  const RankLoad& own = assigned.ranks[rank];
  for (size_t i = 0; i < own.micro_batch_ends.size(); ++i) {
    sequences.FillMicroBatch(plan.queries, plan.passages, own.MicroBatch(i), form.narrow_tokens,
                             *share.add_micro_batches());
  }
  if (form.slots_of_all_ranks) AddSlotsOfAllRanks(assigned, share);
  const auto [begin, end] = EqualRange(share.query_count(), rank, static_cast<uint32_t>(assigned.ranks.size()));
  share.set_row_begin(begin);
  share.set_row_end(end);
  CopyEdges(plan.positive_offsets, plan.positives, begin, end, *share.mutable_positive_offsets(),
            *share.mutable_positives());
  CopyEdges(plan.ignored_offsets, plan.ignored, begin, end, *share.mutable_ignored_offsets(),
            *share.mutable_ignored());
  if (!plan.positive_weights.empty()) {
    share.mutable_positive_weights()->Add(plan.positive_weights.begin() + plan.positive_offsets[begin],
                                          plan.positive_weights.begin() + plan.positive_offsets[end]);
  }
  share.set_has_noise(plan.has_noise);
  for (const uint32_t positive : plan.noise_positives) {
    const uint32_t first = plan.positive_offsets[begin];
    if (positive >= first && positive < plan.positive_offsets[end]) share.add_noise_positives(positive - first);
  }
  if (!plan.row_weights.empty()) {
    share.mutable_row_weights()->Add(plan.row_weights.begin() + begin, plan.row_weights.begin() + end);
  }
  if (!plan.teacher_offsets.empty()) {
    CopyEdges(plan.teacher_offsets, plan.teacher_columns, begin, end, *share.mutable_teacher_offsets(),
              *share.mutable_teacher_columns());
    share.mutable_teacher_scores()->Add(plan.teacher_scores.begin() + plan.teacher_offsets[begin],
                                        plan.teacher_scores.begin() + plan.teacher_offsets[end]);
  }
  share.set_total_weight(plan.total_weight);
  share.set_plan_digest(plan.digest);
  for (uint32_t row = begin; row < end; ++row) share.add_query_digests(texts.QueryDigest(plan.queries[row]));
  return share;
}

absl::Status CheckDigests(const ShareSource::Options& options) {
  const std::vector<std::string> digests = TrainingDatasetsOf(options.resolved);
  bool same = digests.size() == options.train.size() && options.tokens.size() == options.train.size();
  for (size_t set = 0; same && set < digests.size(); ++set) {
    same = digests[set] == options.train[set]->digest() && digests[set] == options.tokens[set]->dataset_digest();
  }
  return same ? absl::OkStatus() : absl::InternalError("a token store or a dataset is not the one that the job resolved");
}

std::vector<const Dataset*> PointersTo(const std::vector<std::shared_ptr<const Dataset>>& datasets) {
  std::vector<const Dataset*> pointers;
  for (const auto& dataset : datasets) pointers.push_back(dataset.get());
  return pointers;
}

// The stores of the datasets, in their order, each once.
std::vector<const TokenStore*> StoresOf(const TrainingTexts& texts, const ShareSource::Options& options) {
  std::vector<const TokenStore*> stores;
  for (const Dataset* dataset : texts.datasets()) {
    const auto set = std::ranges::find(options.train, dataset->digest(), [](const auto& train) { return train->digest(); });
    stores.push_back(options.tokens[set - options.train.begin()].get());
  }
  return stores;
}

std::string IdentityOf(const TrainingTexts& texts, const Sequences& sequences) {
  std::string identity;
  for (const Dataset* dataset : texts.datasets()) absl::StrAppend(&identity, dataset->content_digest(), " ");
  return absl::StrCat(identity, sequences.identity());
}

// Checks the data of one stage.
absl::Status CheckTrainingData(const muster::v1::JobSpec& spec, const muster::v1::ResolvedJob& resolved,
                               const TrainingInputs& inputs) {
  const uint64_t queries = inputs.DrawsPerEpoch();
  if (queries == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data: no query of ", spec.data().sets().empty() ? absl::StrCat("split \"", spec.data().split(), "\"") : "data.sets",
        " has a positive that may be selected. Check data.positives.sources and data.positives.min_grade."));
  }
  const uint64_t steps = inputs.Order().steps();
  if (resolved.train_queries() != queries || resolved.steps_per_epoch() != steps) {
    return absl::FailedPreconditionError(
        absl::StrCat("the data gives ", queries, " queries and ", steps, " steps per epoch, the job was submitted with ",
                     resolved.train_queries(), " and ", resolved.steps_per_epoch(), ". Submit the job again."));
  }
  return absl::OkStatus();
}

// The queries of an epoch, computed from the sets' queries and weights, not from plans, so that a wrong plan is noticed.
class EpochQueries {
 public:
  explicit EpochQueries(const TrainingInputs& inputs) : inputs_(&inputs) {
    for (const PlanInputs& set : inputs.sets) {
      QuerySum& all = all_.emplace_back();
      for (const uint32_t query : set.queries) all.Add(set.dataset->query_digest(query));
    }
  }

  QuerySum Of(uint64_t epoch) const {
    QuerySum sum;
    for (size_t set = 0; set < all_.size(); ++set) {
      const PlanInputs& of_set = inputs_->sets[set];
      const SetDraws draws = inputs_->DrawsOf(set);
      const uint64_t whole = draws.whole() * all_[set].queries;
      sum.Add({whole, draws.whole() * all_[set].sum});
      for (uint64_t extra = whole; extra < draws.per_epoch(); ++extra) {
        sum.Add(of_set.dataset->query_digest(of_set.queries[draws.At(epoch, extra).query]));
      }
    }
    return sum;
  }

 private:
  const TrainingInputs* inputs_;
  std::vector<QuerySum> all_;  // of each set's queries once
};

}  // namespace

// Constant except for the cache of plans.
class ShareSource::State {
 public:
  State(Options options, Sequences sequences, JobPlan job)
      : options_(std::move(options)), sequences_(std::move(sequences)), job_(std::move(job)) {
    for (const TrainingInputs& stage : job_.inputs) epochs_.emplace_back(stage);
  }

  StepShare Share(uint64_t step, uint32_t rank, uint32_t world_size, ShareForm form) ABSL_LOCKS_EXCLUDED(mutex_) {
    const std::shared_ptr<Entry> entry = Find(step, world_size);
    std::call_once(entry->once, [&] {
      const absl::Duration start = options_.clock->Monotonic();
      entry->assigned = PlanAndAssign(job_, sequences_, options_.spec.batch().micro_batch_tokens(), step, world_size);
      if (options_.on_plan) options_.on_plan(options_.clock->Monotonic() - start);
      const StepPlan& plan = entry->assigned.plan;
      if (plan.epoch_end) entry->epoch = epochs_[plan.stage].Of(plan.epoch);
      Account(*entry);
    });
    StepShare share = ShareOf(entry->assigned, *job_.inputs[0].texts, sequences_, rank, form);
    share.set_epoch_queries(entry->epoch.queries);
    share.set_epoch_query_sum(entry->epoch.sum);
    return share;
  }

 private:
  // Planned by the first caller, outside of the lock; the others wait for it.
  struct Entry {
    uint64_t step;
    uint32_t world_size;
    std::once_flag once;
    AssignedStep assigned;
    QuerySum epoch;  // of the step's epoch, if it is the last of it
    size_t bytes = 0;  // guarded by State::mutex_; 0: not planned yet
  };

  std::shared_ptr<Entry> Find(uint64_t step, uint32_t world_size) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    const auto found = std::ranges::find_if(
        recent_, [&](const auto& entry) { return entry->step == step && entry->world_size == world_size; });
    if (found != recent_.end()) {
      recent_.splice(recent_.begin(), recent_, found);
      return recent_.front();
    }
    auto entry = std::make_shared<Entry>();
    entry->step = step;
    entry->world_size = world_size;
    recent_.push_front(entry);
    return entry;
  }

  // Drops the least recently used plans. If a rank still needs one, it is planned again.
  void Account(Entry& entry) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    entry.bytes = MemoryBytes(entry.assigned);
    bytes_ += entry.bytes;
    while (recent_.size() > 2 && (bytes_ > kCacheBytes || recent_.size() > kCachePlans) &&
           recent_.back()->bytes > 0) {
      bytes_ -= recent_.back()->bytes;
      recent_.pop_back();
    }
  }

  const Options options_;
  const Sequences sequences_;
  const JobPlan job_;
  std::vector<EpochQueries> epochs_;  // one per stage
  absl::Mutex mutex_;
  std::list<std::shared_ptr<Entry>> recent_ ABSL_GUARDED_BY(mutex_);  // the last used first
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

ShareSource::ShareSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
ShareSource::~ShareSource() = default;

absl::StatusOr<std::shared_ptr<ShareSource>> ShareSource::Create(Options options) {
  if (options.train.empty()) return std::shared_ptr<ShareSource>(new ShareSource(nullptr));
  const muster::v1::JobSpec& spec = options.spec;
  if (spec.batch().queries() == 0 || spec.batch().micro_batch_tokens() == 0) {
    return absl::InvalidArgumentError("batch.queries, batch.micro_batch_tokens: must be 1 or more");
  }
  ASSIGN_OR_RETURN(JobPlan job, MakeJobPlan(PointersTo(options.train), spec, options.resolved));
  RETURN_IF_ERROR(CheckDigests(options));
  for (size_t i = 0; i < job.stages.size(); ++i) {
    RETURN_IF_ERROR(CheckTrainingData(SpecOfStage(spec, i), ResolvedOfStage(options.resolved, i), job.inputs[i]));
  }
  const TrainingTexts& texts = *job.inputs[0].texts;
  ASSIGN_OR_RETURN(Sequences sequences, Sequences::Create(StoresOf(texts, options), spec.model(), options.resolved));
  for (TrainingInputs& stage : job.inputs) stage.identity = IdentityOf(texts, sequences);
  return std::shared_ptr<ShareSource>(
      new ShareSource(std::make_unique<State>(std::move(options), std::move(sequences), std::move(job))));
}

absl::StatusOr<StepShare> ShareSource::Share(uint64_t step, uint32_t rank, uint32_t world_size, ShareForm form) {
  if (state_ == nullptr) return absl::FailedPreconditionError("the job evaluates only: it has no steps");
  if (rank >= world_size) {
    return absl::InvalidArgumentError(absl::StrCat("rank ", rank, " of a world of ", world_size));
  }
  StepShare share = state_->Share(step, rank, world_size, form);
  if (const size_t bytes = share.ByteSizeLong(); bytes > kMaxShareBytes) {
    return absl::ResourceExhaustedError(absl::StrCat("step ", step, ": the share of rank ", rank, " has ", bytes >> 20,
                                                     " MiB, at most ", kMaxShareBytes >> 20,
                                                     " MiB can be sent. Lower batch.queries, or use more ranks."));
  }
  return share;
}

uint64_t TrainQueries(const Dataset& dataset, uint32_t split, const muster::v1::DataSpec& data) {
  return SelectableQueries(dataset, split, PositiveRules(dataset, data)).size();
}

}  // namespace muster
