#include "worker/rank/collective/activity_board.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace muster {
namespace {

class InCollective {
 public:
  InCollective(ActivityBoard& board, absl::string_view operation) : board_(board) { board_.BeginCollective(operation); }
  ~InCollective() { board_.EndCollective(); }

 private:
  ActivityBoard& board_;
};

// Counts the operation when it starts; the board shows the rank in it while Wait runs.
class ObservedPending final : public Pending {
 public:
  ObservedPending(std::unique_ptr<Pending> pending, ActivityBoard& board, absl::string_view operation)
      : pending_(std::move(pending)), board_(board), operation_(operation) {
    board_.CountCollective();
  }
  absl::Status Wait() override {
    board_.AwaitCollective(operation_);
    const absl::Status status = pending_->Wait();
    board_.EndCollective();
    return status;
  }

 private:
  const std::unique_ptr<Pending> pending_;
  ActivityBoard& board_;
  const std::string operation_;
};

class ObservedGroup final : public Group {
 public:
  ObservedGroup(std::unique_ptr<Group> group, ActivityBoard& board) : group_(std::move(group)), board_(board) {}
  int64_t rank() const override { return group_->rank(); }
  int64_t world_size() const override { return group_->world_size(); }
  std::unique_ptr<Pending> StartAllGather(std::vector<at::Tensor> pieces) override {
    return std::make_unique<ObservedPending>(group_->StartAllGather(std::move(pieces)), board_, "gather");
  }
  std::unique_ptr<Pending> StartAllReduceSum(at::Tensor tensor) override {
    return std::make_unique<ObservedPending>(group_->StartAllReduceSum(std::move(tensor)), board_, "reduce");
  }
  absl::StatusOr<at::Tensor> ReduceScatterRowsSum(const at::Tensor& full, std::span<const int64_t> counts) override {
    const InCollective within(board_, "scatter");
    return group_->ReduceScatterRowsSum(full, counts);
  }
  absl::StatusOr<std::vector<std::string>> AllGatherBytes(const std::string& own) override {
    const InCollective within(board_, "exchange");
    return group_->AllGatherBytes(own);
  }

 private:
  const std::unique_ptr<Group> group_;
  ActivityBoard& board_;
};

}  // namespace

ActivityBoard::Entry ActivityBoard::Read() const {
  absl::MutexLock lock(&mutex_);
  Entry entry{.step = step_, .collectives = collectives_, .in_collective = !operation_.empty()};
  if (activity_.empty()) {
    entry.phase = entry.in_collective ? operation_ : phase_;
  } else {
    entry.phase = entry.in_collective ? absl::StrCat(activity_, ", ", operation_) : activity_;
  }
  return entry;
}

void ActivityBoard::SetActivity(absl::string_view activity) {
  absl::MutexLock lock(&mutex_);
  activity_ = std::string(activity);
}

void ActivityBoard::SetPhase(absl::string_view phase) {
  absl::MutexLock lock(&mutex_);
  activity_.clear();
  phase_.assign(phase.data(), phase.size());
}

void ActivityBoard::SetStep(uint64_t done) {
  absl::MutexLock lock(&mutex_);
  step_ = done;
}

void ActivityBoard::BeginCollective(absl::string_view operation) {
  CountCollective();
  AwaitCollective(operation);
}

void ActivityBoard::CountCollective() {
  absl::MutexLock lock(&mutex_);
  ++collectives_;
}

void ActivityBoard::AwaitCollective(absl::string_view operation) {
  absl::MutexLock lock(&mutex_);
  operation_.assign(operation.data(), operation.size());
}

void ActivityBoard::EndCollective() {
  absl::MutexLock lock(&mutex_);
  operation_.clear();
}

std::unique_ptr<Group> MakeObservedGroup(std::unique_ptr<Group> group, ActivityBoard& board) {
  return std::make_unique<ObservedGroup>(std::move(group), board);
}

}  // namespace muster
