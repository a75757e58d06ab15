// For tests: streams that run nothing by themselves and record their waits. Work is done when FinishAll is called; a
// lane that reads what another lane made without having waited for it is a fault.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "worker/rank/device/streams.h"
#include "worker/rank/device/testing/stream_order.h"

namespace muster::testing_streams {

class RecordingStreams final : public Streams {
 public:
  std::unique_ptr<StreamEvent> Record(Lane lane) override {
    absl::MutexLock lock(&mutex_);
    ++records_;
    return std::make_unique<Event>(order_.Record(Number(lane)), records_);
  }
  void Wait(Lane lane, const StreamEvent& event) override {
    absl::MutexLock lock(&mutex_);
    order_.Wait(Number(lane), Of(event).order);
  }
  bool Past(const StreamEvent& event) override {
    absl::MutexLock lock(&mutex_);
    return Of(event).number <= finished_;
  }
  double SecondsBetween(const StreamEvent& begin, const StreamEvent& end) override {
    return Of(end).number - Of(begin).number;  // events are one second apart
  }
  at::Tensor Upload(const at::Tensor& host) override {
    const at::Tensor there = host.clone();
    absl::MutexLock lock(&mutex_);
    order_.Write(Number(Lane::kUpload), there.const_data_ptr(), there.nbytes(), "the upload of a tensor");
    return there;
  }
  void WillRead(Lane lane, const at::Tensor& tensor) override {
    absl::MutexLock lock(&mutex_);
    order_.Read(Number(lane), tensor.const_data_ptr(), tensor.nbytes(), "a tensor of the batch");
    ++reads_;
  }

  // Everything recorded before has now happened.
  void FinishAll() {
    absl::MutexLock lock(&mutex_);
    finished_ = records_;
  }
  std::vector<std::string> faults() const {
    absl::MutexLock lock(&mutex_);
    return order_.faults();
  }
  int reads() const {
    absl::MutexLock lock(&mutex_);
    return reads_;
  }

 private:
  struct Event final : StreamEvent {
    Event(StreamOrder::Event at, int count) : order(std::move(at)), number(count) {}
    const StreamOrder::Event order;
    const int number;
  };
  static const Event& Of(const StreamEvent& event) { return static_cast<const Event&>(event); }
  static int64_t Number(Lane lane) { return lane == Lane::kCompute ? 0 : 1; }

  mutable absl::Mutex mutex_;
  StreamOrder order_;
  int records_ = 0, finished_ = 0, reads_ = 0;
};

}  // namespace muster::testing_streams
