#include "worker/rank/collective/group.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>

#include "worker/rank/collective/in_process.h"

namespace muster {
namespace {

using testing::HasSubstr;

class Groups : public testing::TestWithParam<int64_t> {};

TEST_P(Groups, GatherRowsOfUnequalCountsInRankOrder) {
  const int64_t world = GetParam();
  std::vector<int64_t> counts;
  for (int64_t r = 0; r < world; ++r) counts.push_back(r == 1 ? 0 : r + 1);
  const auto statuses = RunInProcessRanks(world, [&](Group& group) -> absl::Status {
    const at::Tensor own = at::full({counts[group.rank()], 3}, static_cast<double>(group.rank()), at::kFloat);
    const auto all = group.AllGatherRows(own, counts);
    if (!all.ok()) return all.status();
    int64_t row = 0;
    for (int64_t r = 0; r < world; ++r) {
      for (int64_t i = 0; i < counts[r]; ++i, ++row) EXPECT_TRUE(((*all)[row] == r).all().item<bool>());
    }
    EXPECT_EQ(all->size(0), row);
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
}

TEST_P(Groups, ReduceScatterGivesEachRankItsRowsOfTheSum) {
  const int64_t world = GetParam();
  std::vector<int64_t> counts;
  int64_t total = 0;
  for (int64_t r = 0; r < world; ++r) total += counts.emplace_back(r == 1 ? 0 : 2 * r + 1);
  const auto statuses = RunInProcessRanks(world, [&](Group& group) -> absl::Status {
    const at::Tensor full = at::arange(total, at::kFloat).unsqueeze(1) * static_cast<double>(group.rank() + 1);
    const auto own = group.ReduceScatterRowsSum(full, counts);
    if (!own.ok()) return own.status();
    int64_t first = 0;
    for (int64_t r = 0; r < group.rank(); ++r) first += counts[r];
    EXPECT_EQ(own->size(0), counts[group.rank()]);
    for (int64_t i = 0; i < own->size(0); ++i) {
      EXPECT_EQ((*own)[i].item<float>(), static_cast<float>((first + i) * world * (world + 1) / 2));
    }
    return absl::OkStatus();
  });
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
}

TEST_P(Groups, AllReduceSumsEveryTensorToEqualBits) {
  const int64_t world = GetParam();
  std::vector<std::vector<at::Tensor>> results(world);
  const auto statuses = RunInProcessRanks(world, [&](Group& group) -> absl::Status {
    // The second is larger than a bucket, the third has no element.
    std::vector<at::Tensor> tensors = {at::full({5, 2}, 0.1 * (group.rank() + 1), at::kFloat),
                                       at::full({9 << 20}, 1.0, at::kFloat), at::zeros({0}, at::kFloat),
                                       at::full({}, 2.0, at::kFloat)};
    const absl::Status status = group.AllReduceSum(tensors);
    results[group.rank()] = tensors;
    return status;
  });
  for (const absl::Status& status : statuses) ASSERT_TRUE(status.ok()) << status;
  for (int64_t r = 0; r < world; ++r) {
    for (size_t t = 0; t < results[0].size(); ++t) EXPECT_TRUE(at::equal(results[r][t], results[0][t]));
  }
  EXPECT_NEAR(results[0][0][0][0].item<float>(), 0.1 * world * (world + 1) / 2, 1e-6);
  EXPECT_EQ(results[0][1][12345].item<float>(), static_cast<float>(world));
  EXPECT_EQ(results[0][3].item<float>(), static_cast<float>(2 * world));
}

TEST_P(Groups, GatherBytesOfUnequalLengths) {
  const int64_t world = GetParam();
  const auto statuses = RunInProcessRanks(world, [&](Group& group) -> absl::Status {
    const auto all = group.AllGatherBytes(std::string(group.rank(), 'x'));
    if (!all.ok()) return all.status();
    EXPECT_EQ(all->size(), world);
    for (int64_t r = 0; r < world; ++r) EXPECT_EQ((*all)[r], std::string(r, 'x'));
    return group.Barrier();
  });
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
}

INSTANTIATE_TEST_SUITE_P(WorldSizes, Groups, testing::Values(1, 2, 3));

TEST(Groups, APeerThatLeavesIsUnavailableForTheOthers) {
  std::latch joined(3);
  const auto statuses = RunInProcessRanks(3, [&](Group& group) -> absl::Status {
    joined.arrive_and_wait();  // otherwise another rank's join may fail first
    if (group.rank() == 1) return absl::CancelledError("left");
    return group.Barrier();
  });
  EXPECT_EQ(statuses[1].code(), absl::StatusCode::kCancelled);
  for (const int r : {0, 2}) {
    EXPECT_EQ(statuses[r].code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(statuses[r].message()), HasSubstr("collective failed: all-gather of bytes"));
  }
}

}  // namespace
}  // namespace muster
