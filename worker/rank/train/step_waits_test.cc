// Where the host waits for the device and for other ranks during a whole step: exactly the table of docs/design/step.md,
// "Where the host waits for a GPU". Both devices run the same code, so the CPU's waits are recorded: a group records its own,
// the loss's operations their copies, and an observer sees every operation of LibTorch that makes a host wait.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "worker/rank/device/testing/recording_streams.h"
#include "worker/rank/loss/testing/counting_tile_ops.h"
#include "worker/rank/train/testing/trained_step.h"

namespace muster {
namespace {

using testing::ElementsAreArray;

// These wait for a GPU, however they are reached.
const std::set<std::string, std::less<>> kWaitingOperations = {
    "aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::masked_select", "aten::equal",
    "aten::_unique2",            "aten::bincount"};

// The waits of this thread's step, in order.
class WaitLog {
 public:
  void Add(const std::string& wait) { waits_.push_back(wait); }
  // One of several that follow each other: a gather has chunks, a reduction buckets.
  void AddPart(const std::string& wait) {
    if (waits_.empty() || waits_.back() != wait) Add(wait);
  }
  // A copy of the loss, and then LibTorch's operation that does it.
  void AddCopy(const std::string& copy) {
    Add(copy);
    copying_ = true;
  }
  bool TakeCopying() { return std::exchange(copying_, false); }
  // While one lives, operations of LibTorch are part of a wait that is already recorded.
  class Known {
   public:
    explicit Known(WaitLog& log) : log_(log) { ++log_.known_; }
    ~Known() { --log_.known_; }
    Known(const Known&) = delete;
    Known& operator=(const Known&) = delete;

   private:
    WaitLog& log_;
  };
  bool known() const { return known_ > 0; }
  const std::vector<std::string>& waits() const { return waits_; }

 private:
  std::vector<std::string> waits_;
  int known_ = 0;
  bool copying_ = false;
};

// Forwards to another group.
class WaitingGroup final : public Group {
 public:
  WaitingGroup(Group& inner, WaitLog& log) : inner_(inner), log_(log) {}
  int64_t rank() const override { return inner_.rank(); }
  int64_t world_size() const override { return inner_.world_size(); }
  std::unique_ptr<Pending> StartAllGather(std::vector<at::Tensor> pieces) override {
    log_.Add("(embeddings are encoded)");  // so few embeddings have one chunk
    const WaitLog::Known known(log_);
    return std::make_unique<Operation>(inner_.StartAllGather(std::move(pieces)), "the gather", log_);
  }
  std::unique_ptr<Pending> StartAllReduceSum(at::Tensor tensor) override {
    const WaitLog::Known known(log_);
    return std::make_unique<Operation>(inner_.StartAllReduceSum(std::move(tensor)), "the reduction", log_);
  }
  absl::StatusOr<at::Tensor> ReduceScatterRowsSum(const at::Tensor& full, std::span<const int64_t> counts) override {
    log_.Add("the scatter");
    const WaitLog::Known known(log_);
    return inner_.ReduceScatterRowsSum(full, counts);
  }
  absl::StatusOr<std::vector<std::string>> AllGatherBytes(const std::string& own) override {
    log_.Add("an exchange");
    const WaitLog::Known known(log_);
    return inner_.AllGatherBytes(own);
  }

 private:
  class Operation final : public Pending {
   public:
    Operation(std::unique_ptr<Pending> inner, const char* name, WaitLog& log)
        : inner_(std::move(inner)), name_(name), log_(log) {}
    absl::Status Wait() override {
      log_.AddPart(name_);
      const WaitLog::Known known(log_);
      return inner_->Wait();
    }

   private:
    const std::unique_ptr<Pending> inner_;
    const char* const name_;
    WaitLog& log_;
  };
  Group& inner_;
  WaitLog& log_;
};

thread_local WaitLog* observed = nullptr;

// An operation that waits, or a copy to a named device: upload.h's never waits, others do.
std::unique_ptr<at::ObserverContext> Observe(const at::RecordFunction& function) {
  if (observed == nullptr || observed->known()) return nullptr;
  const std::string name = function.name();
  bool waits = kWaitingOperations.contains(name);
  if (name == "aten::to") {
    for (const c10::IValue& input : function.inputs()) waits = waits || input.isDevice();
    if (waits && observed->TakeCopying()) return nullptr;
  }
  if (waits) observed->Add(name);
  return nullptr;
}

// One step on each rank; their waits.
std::vector<std::vector<std::string>> WaitsOfStep(int64_t world_size, const Problem& problem, const TrainerOptions& options) {
  std::vector<std::vector<std::string>> waits(world_size);
  const auto statuses = RunInProcessRanks(world_size, [&](Group& inner) -> absl::Status {
    WaitLog log;
    WaitingGroup group(inner, log);
    // A GPU's plan.
    const CountingTileOps ops({.all_blocks_at_once = true, .split_bfloat16 = true},
                              [&](const char* copy) { log.AddCopy(copy); });
    const auto streams = std::make_shared<testing_streams::RecordingStreams>();
    TrainerOptions own = options;
    own.tile_ops = &ops;
    own.streams = streams;
    auto encoder = Encoder::Random(ProblemConfig(), kWeightSeed);
    if (!encoder.ok()) return encoder.status();
    Trainer trainer(**encoder, group, RealClock(), own);
    const auto batch = BatchFromShare(ShareOf(problem, group.rank(), world_size, 40), ProblemConfig(), at::kCPU);
    if (!batch.ok()) return batch.status();
    EXPECT_GT(batch->micro_batches.size(), 1u);
    const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(Observe)
                                                       .needsInputs(true)
                                                       .scopes({at::RecordScope::FUNCTION}));
    observed = &log;
    const auto report = trainer.Step(*batch);
    observed = nullptr;
    at::removeCallback(handle);
    if (!report.ok()) return report.status();
    EXPECT_THAT(streams->faults(), testing::IsEmpty());
    EXPECT_TRUE(report->seconds.empty()) << "the device has not finished, and the step does not wait for it";
    waits[group.rank()] = log.waits();
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  return waits;
}

// The table, with the waits inside the loss.
std::vector<std::string> Table(const std::vector<std::string>& of_loss) {
  std::vector<std::string> all = {"an exchange",  // plans, before the first sequence is encoded
                                  "(embeddings are encoded)", "the gather"};
  all.insert(all.end(), of_loss.begin(), of_loss.end());
  // Tallies, and the norm.
  all.insert(all.end(), {"an exchange", "the scatter", "the reduction", "an exchange"});
  return all;
}

const std::vector<std::string> kOfLoss = {"upload", "download", "upload"};

TEST(StepWaits, AreThoseOfTheTableOnAnyNumberOfRanks) {
  at::set_num_threads(1);
  const Problem problem = MakeProblem(5, false);
  for (const int64_t world_size : {1, 2, 3}) {
    for (const uint64_t keep : {uint64_t{0}, uint64_t{60000}, uint64_t{1} << 30}) {
      for (const double dropout : {0.0, 0.1}) {
        TrainerOptions options = ProblemOptions(muster::v1::OBJECTIVE_LSEPAIR, dropout);
        options.keep_activations = keep;
        for (const auto& waits : WaitsOfStep(world_size, problem, options)) {
          EXPECT_THAT(waits, ElementsAreArray(Table(kOfLoss)))
              << world_size << " ranks, " << keep << " bytes kept, dropout " << dropout;
        }
      }
    }
  }
}

TEST(StepWaits, WithFalseNegativesAndClippingAreTheSame) {
  at::set_num_threads(1);
  TrainerOptions options = ProblemOptions(muster::v1::OBJECTIVE_JOINTLH, 0.1);
  options.loss.mutable_false_negatives()->set_margin(0.1);
  options.optimizer.set_max_grad_norm(1e-3);
  for (const auto& waits : WaitsOfStep(2, MakeProblem(6, false), options)) EXPECT_THAT(waits, ElementsAreArray(Table(kOfLoss)));
}

// Three more waits for a teacher, and each cut of the embeddings is a loss.
TEST(StepWaits, OfATeacherAndOfCutsAreThoseOfTheirLosses) {
  at::set_num_threads(1);
  Problem problem = MakeProblem(7, false);
  AddTeacher(problem, 8);
  TrainerOptions options = ProblemOptions(muster::v1::OBJECTIVE_JOINTLH, 0);
  options.loss.mutable_distill()->set_kind(muster::v1::DISTILL_KIND_KL);
  options.loss.mutable_distill()->set_weight(0.5);
  options.loss.mutable_distill()->set_temperature(1);
  std::vector<std::string> of_loss = kOfLoss;
  of_loss.insert(of_loss.end(), kOfLoss.begin(), kOfLoss.end());
  for (const auto& waits : WaitsOfStep(2, problem, options)) EXPECT_THAT(waits, ElementsAreArray(Table(of_loss)));

  options = ProblemOptions(muster::v1::OBJECTIVE_JOINTLH, 0);
  for (const int size : {32, 8}) options.loss.add_matryoshka_dimensions(size);
  for (const auto& waits : WaitsOfStep(2, MakeProblem(7, false), options)) EXPECT_THAT(waits, ElementsAreArray(Table(of_loss)));
}

// The observer sees what it looks for.
TEST(StepWaits, OperationsThatWaitAreSeen) {
  WaitLog log;
  const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(Observe)
                                                     .needsInputs(true)
                                                     .scopes({at::RecordScope::FUNCTION}));
  observed = &log;
  const at::Tensor ones = at::ones({2});
  EXPECT_EQ(ones.sum().item<float>(), 2);
  const at::Tensor copy = ones.to(at::Device(at::kCPU), at::kDouble);
  {
    const WaitLog::Known known(log);
    EXPECT_EQ(copy.sum().item<double>(), 2);
  }
  observed = nullptr;
  at::removeCallback(handle);
  ASSERT_EQ(log.waits().size(), 2u);
  EXPECT_EQ(log.waits()[0], "aten::_local_scalar_dense");
  EXPECT_EQ(log.waits()[1], "aten::to");
}

}  // namespace
}  // namespace muster
