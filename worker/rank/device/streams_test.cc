#include "worker/rank/device/streams.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/rank/device/phase_clock.h"
#include "worker/rank/device/testing/recording_streams.h"
#include "worker/rank/device/upload.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;
using testing_streams::RecordingStreams;
using testing_streams::StreamOrder;

TEST(StreamOrder, FindsAReadAndAWriteThatNoEventOrders) {
  StreamOrder order;
  char memory[8] = {};
  order.Write(1, memory, 8, "a copy");
  const StreamOrder::Event copied = order.Record(1);
  order.Read(0, memory + 4, 4, "a product");
  EXPECT_THAT(order.faults(), ElementsAre("stream 0 reads a product, which stream 1 may still be writing (a copy)"));
  order.Wait(0, copied);
  order.Read(0, memory, 8, "another product");
  EXPECT_EQ(order.faults().size(), 1u);
  order.Write(1, memory, 8, "the next copy");
  EXPECT_EQ(order.faults().size(), 3u) << "both products may still be reading";
}

TEST(StreamOrder, AnEventCoversOnlyWhatCameBeforeIt) {
  StreamOrder order;
  char memory[8] = {};
  const StreamOrder::Event early = order.Record(1);
  order.Write(1, memory, 8, "a copy");
  order.Wait(0, early);
  order.Read(0, memory, 8, "a product");
  EXPECT_EQ(order.faults().size(), 1u);
}

TEST(StreamOrder, WhatTheHostHasSeenIsBeforeAllThatComesLater) {
  StreamOrder order;
  char memory[8] = {};
  order.Write(1, memory, 8, "a copy");
  order.HostSaw(order.Record(1));
  order.Read(0, memory, 8, "a product");
  EXPECT_THAT(order.faults(), IsEmpty());
}

TEST(PhaseClock, OnTheCpuAStepsSecondsAreItsOwnAndAPhaseThatComesTwiceIsSummed) {
  FakeClock clock;
  const auto streams = MakeStreams(at::kCPU, clock);
  PhaseClock phases(*streams);
  for (int step = 1; step <= 2; ++step) {
    phases.Begin();
    clock.Advance(absl::Seconds(step));
    phases.Mark(StepPhase::kGather);
    clock.Advance(absl::Seconds(10));
    phases.Mark(StepPhase::kEncode);
    clock.Advance(absl::Seconds(step));
    phases.Mark(StepPhase::kGather);
    EXPECT_THAT(phases.Finish(), UnorderedElementsAre(Pair(StepPhase::kEncode, 10), Pair(StepPhase::kGather, 2 * step)));
  }
}

// The device's work of a step is still running when the step's report is made.
TEST(PhaseClock, OnAGpuTheSecondsOfAStepAreReadAStepLaterAndNothingWaits) {
  RecordingStreams streams;
  PhaseClock phases(streams);
  const auto step = [&](int marks) {
    phases.Begin();
    for (int i = 0; i < marks; ++i) phases.Mark(StepPhase::kEncode);
    return phases.Finish();
  };
  EXPECT_THAT(step(3), IsEmpty());
  streams.FinishAll();
  EXPECT_THAT(step(5), ElementsAre(Pair(StepPhase::kEncode, 3)));
  EXPECT_THAT(step(4), IsEmpty()) << "the step of 5 is not past either";
  streams.FinishAll();
  EXPECT_THAT(step(1), ElementsAre(Pair(StepPhase::kEncode, 4)));
}

TEST(IndicesOn, TakesACopyOfTheNumbers) {
  std::vector<int64_t> values = {3, 1, 2};
  const at::Tensor indices = IndicesOn(at::kCPU, values);
  values[0] = 9;
  EXPECT_EQ(indices[0].item<int64_t>(), 3);
  EXPECT_EQ(indices.numel(), 3);
}

}  // namespace
}  // namespace muster
