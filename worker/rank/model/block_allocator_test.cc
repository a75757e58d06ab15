#include "worker/rank/model/block_allocator.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "common/random.h"

namespace muster {
namespace {

at::Tensor Bytes(size_t count) { return at::empty({static_cast<int64_t>(count)}, at::kByte); }

TEST(BlockAllocator, ASizeClassIsAtMostAnEighthLargerAndWholePages) {
  CounterRandom random(17);
  for (int i = 0; i < 1000; ++i) {
    const size_t bytes = kSmallestBlock + random.Below(size_t{1} << 32);
    const size_t size = BlockSize(bytes);
    ASSERT_GE(size, bytes);
    ASSERT_LE(size, bytes + bytes / 8);
    ASSERT_EQ(size % 4096, 0);
    ASSERT_EQ(BlockSize(size), size);
  }
}

TEST(BlockAllocator, HandsABlockOutAgainAndAlignsIt) {
  UseBlockAllocator();
  at::Tensor first = Bytes(3 << 20);
  const void* const address = first.const_data_ptr();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(address) % 64, 0);
  first = at::Tensor();
  EXPECT_EQ(Bytes((3 << 20) - 1000).const_data_ptr(), address);
}

TEST(BlockAllocator, HoldsNoMoreThanWasInUseAtOnceAndTheSpare) {
  UseBlockAllocator();
  ReturnIdleBlocks();
  size_t most = CurrentBlockUse().in_use;
  CounterRandom random(17);
  std::vector<at::Tensor> held;
  for (int i = 0; i < 2000; ++i) {
    if (held.size() > random.Below(300)) {
      held.erase(held.begin() + random.Below(held.size()));
    } else {
      held.push_back(Bytes(kSmallestBlock + random.Below(16 << 20)));
    }
    const BlockUse use = CurrentBlockUse();
    most = std::max(most, use.in_use);
    const size_t allowed = std::max(most, std::min(most + kSpare, kMostWithSpare));
    ASSERT_LE(use.in_use + use.idle, allowed) << "seed 17, round " << i;
  }
}

TEST(BlockAllocator, RaggedBatchesOfOneBudgetMapNothingNewAfterAWhile) {
  UseBlockAllocator();
  CounterRandom random(18);
  size_t after_warm_up = 0;
  for (int batch = 0; batch < 60; ++batch) {
    std::vector<at::Tensor> graph;
    const size_t rows = 500 + random.Below(12);
    for (int layer = 0; layer < 6; ++layer) {
      for (const size_t width : {384, 1152, 384, 1536, 1536}) graph.push_back(Bytes(4 * rows * width));
    }
    if (batch == 30) after_warm_up = CurrentBlockUse().mapped_ever;
  }
  EXPECT_EQ(CurrentBlockUse().mapped_ever, after_warm_up) << "seed 18";
}

// The pattern of an evaluation: few tensors at once, whose sizes alternate.
TEST(BlockAllocator, SizesThatTakeTurnsMapNothingNew) {
  UseBlockAllocator();
  ReturnIdleBlocks();
  size_t after_first = 0;
  for (int layer = 0; layer < 6; ++layer) {
    for (const size_t width : {384, 1152, 384, 1536}) Bytes(4 * 1024 * width);
    if (layer == 0) after_first = CurrentBlockUse().mapped_ever;
  }
  EXPECT_EQ(CurrentBlockUse().mapped_ever, after_first);
}

TEST(BlockAllocator, ReturnsIdleMemoryWhenAsked) {
  UseBlockAllocator();
  const at::Tensor held = Bytes(1 << 20);
  Bytes(5 << 20);
  EXPECT_GE(CurrentBlockUse().idle, 5 << 20);
  ReturnIdleBlocks();
  EXPECT_EQ(CurrentBlockUse().idle, 0);
  EXPECT_GE(CurrentBlockUse().in_use, 1 << 20);
}

// The kernel's flags of the mapping that contains `address`, from /proc/self/smaps.
std::string FlagsOf(const void* address) {
  std::ifstream file("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      inside = begin <= reinterpret_cast<uintptr_t>(address) && reinterpret_cast<uintptr_t>(address) < end;
    } else if (inside && line.starts_with("VmFlags:")) {
      return line + " ";
    }
  }
  return "";
}

TEST(BlockAllocator, AsksForLargePages) {
  if (!std::filesystem::exists("/sys/kernel/mm/transparent_hugepage")) GTEST_SKIP() << "a kernel without large pages";
  UseBlockAllocator();
  const at::Tensor held = Bytes(64 << 20);
  const std::string flags = FlagsOf(held.const_data_ptr());
  EXPECT_NE(flags.find(" hg "), std::string::npos) << flags;
}

// oneDNN allocates and frees raw memory of both kinds.
TEST(BlockAllocator, ServesOneDnn) {
  UseBlockAllocator();
  for (const int64_t size : {10, 10000, 1000000}) {
    const at::Tensor x = at::ones({size, 1});
    EXPECT_NEAR(at::gelu(x).sum().item<float>() / size, 0.8413447, 1e-4);
  }
}

TEST(BlockAllocator, ThreadsNeverShareABlock) {
  UseBlockAllocator();
  std::vector<std::thread> threads;
  std::vector<int64_t> wrong(4, 0);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &wrong] {
      for (int i = 0; i < 200; ++i) {
        const at::Tensor mine = at::full({100000}, t, at::kFloat);
        std::this_thread::yield();
        wrong[t] += mine.ne(t).sum().item<int64_t>();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int64_t count : wrong) EXPECT_EQ(count, 0);
}

}  // namespace
}  // namespace muster
