// Tests the harness itself: its results, and the mistakes that it reports.
#include "worker/rank/cuda/testing/host_cuda.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace muster::cuda {
namespace {

using host_cuda::InEveryOrder;
using testing::AllOf;
using testing::HasSubstr;

// The error of the launch, or "".
template <typename... Parameters, typename... Arguments>
std::string Refusal(void (*kernel)(Parameters...), dim3 grid, dim3 block, Arguments... arguments) {
  try {
    Launch(kernel, grid, block, 0, nullptr, arguments...);
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "";
}

__global__ void NumberKernel(int* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] += static_cast<int>(1 + block * 1000 + thread);
}

TEST(HostCuda, EveryThreadOfEveryBlockRunsOnce) {
  InEveryOrder([] {
    std::vector<int> out(2 * 3 * 2 * 5 * 4 * 2);
    Launch(NumberKernel, dim3(2, 3, 2), dim3(5, 4, 2), 0, nullptr, out.data());
    for (int block = 0; block < 12; ++block) {
      for (int thread = 0; thread < 40; ++thread) EXPECT_EQ(out[block * 40 + thread], 1 + block * 1000 + thread);
    }
  });
}

__global__ void ReverseKernel(const int* in, int* out, bool with_barrier) {
  MUSTER_SHARED(int, values, 96);
  values[threadIdx.x] = in[threadIdx.x];
  if (with_barrier) __syncthreads();
  out[threadIdx.x] = values[95 - threadIdx.x];
}

TEST(HostCuda, ABarrierOrdersSharedMemoryAndItsLackShows) {
  std::vector<int> in(96), out(96);
  for (int i = 0; i < 96; ++i) in[i] = i;
  InEveryOrder([&] {
    Launch(ReverseKernel, 1, 96, 0, nullptr, in.data(), out.data(), true);
    for (int i = 0; i < 96; ++i) EXPECT_EQ(out[i], 95 - i);
    Launch(ReverseKernel, 1, 96, 0, nullptr, in.data(), out.data(), false);
    int wrong = 0;
    for (int i = 0; i < 96; ++i) wrong += out[i] != 95 - i;
    EXPECT_GT(wrong, 20) << "what another thread has not written yet reads as poison";
  });
}

__global__ void UnwrittenKernel(float* out) {
  MUSTER_SHARED(float, values, 2);
  MUSTER_DYNAMIC_SHARED(double, more);
  if (blockIdx.x == 0) values[0] = 1, more[0] = 1;
  out[blockIdx.x] = values[0] + static_cast<float>(more[0]);
}

TEST(HostCuda, SharedMemoryIsPoisonedWhenABlockBegins) {
  float out[2];
  Launch(UnwrittenKernel, 2, 1, sizeof(double), nullptr, out);
  EXPECT_EQ(out[0], 2);
  EXPECT_TRUE(std::isnan(out[1]));
}

#ifdef MUSTER_HOST_ASAN
__global__ void BeyondSharedKernel(int index) {
  MUSTER_SHARED(int, values, 8);
  MUSTER_DYNAMIC_SHARED(int, more);
  values[0] = 1;
  int* pointer = index < 0 ? more : values;
  pointer[index < 0 ? -index : index] = 1;
}

TEST(HostCuda, AnIndexBeyondSharedMemoryEndsTheTest) {
  Launch(BeyondSharedKernel, 1, 1, 8 * sizeof(int), nullptr, 7);
  Launch(BeyondSharedKernel, 1, 1, 8 * sizeof(int), nullptr, -7);
  EXPECT_DEATH(Launch(BeyondSharedKernel, 1, 1, 8 * sizeof(int), nullptr, 8), "heap-buffer-overflow");
  EXPECT_DEATH(Launch(BeyondSharedKernel, 1, 1, 8 * sizeof(int), nullptr, -8), "heap-buffer-overflow");
}
#endif

__global__ void ShuffleKernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x % 32), value = static_cast<int>(threadIdx.x);
  int* own = out + threadIdx.x * 5;
  own[0] = __shfl_xor_sync(0xffffffff, value, 5);
  own[1] = __shfl_down_sync(0xffffffff, value, 3);
  own[2] = __shfl_up_sync(0xffffffff, value, 2, 16);
  own[3] = __shfl_sync(0xffffffff, value, 1, 8);
  own[4] = 0;
  if (lane < 16) own[4] = __shfl_xor_sync(0x0000ffff, value, 1);  // the other half does not take part
  if (lane >= 16) own[4] = static_cast<int>(__ballot_sync(0xffff0000, lane % 3 == 0));
}

TEST(HostCuda, ShufflesReadTheLanesThatCudaReads) {
  InEveryOrder([] {
    std::vector<int> out(64 * 5);
    Launch(ShuffleKernel, 1, 64, 0, nullptr, out.data());
    for (int t = 0; t < 64; ++t) {
      const int lane = t % 32;
      EXPECT_EQ(out[t * 5], t ^ 5);
      EXPECT_EQ(out[t * 5 + 1], lane + 3 < 32 ? t + 3 : t);
      EXPECT_EQ(out[t * 5 + 2], lane % 16 >= 2 ? t - 2 : t);
      EXPECT_EQ(out[t * 5 + 3], t / 8 * 8 + 1);
      EXPECT_EQ(out[t * 5 + 4], lane < 16 ? t ^ 1 : (1 << 18 | 1 << 21 | 1 << 24 | 1 << 27 | 1 << 30));
    }
  });
}

__global__ void DivergentBarrierKernel(int last) {
  if (static_cast<int>(threadIdx.x) < last) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
__global__ void EarlyReturnKernel() {
  if (threadIdx.x == 7) return;
  __syncthreads();
}
__global__ void DivergentShuffleKernel() {
  if (threadIdx.x != 3) __syncwarp();
}
__global__ void ForeignMaskKernel(int from) { __shfl_sync(0x0000fff0, 1, from); }

TEST(HostCuda, DivergenceIsAnErrorThatNamesBothPlaces) {
  InEveryOrder([] {
    EXPECT_EQ(Refusal(DivergentBarrierKernel, 1, 64, 64), "");
    EXPECT_THAT(Refusal(DivergentBarrierKernel, 1, 64, 40),
                AllOf(HasSubstr("thread 0 waits at the barrier host_cuda_test.cc:"),
                      HasSubstr("thread 40 waits at the barrier host_cuda_test.cc:")));
    EXPECT_THAT(Refusal(EarlyReturnKernel, 1, 64),
                AllOf(HasSubstr("thread 0 waits at the barrier"), HasSubstr("thread 7 has returned")));
    EXPECT_THAT(Refusal(DivergentShuffleKernel, 1, 32),
                AllOf(HasSubstr("thread 0 waits at the warp operation"), HasSubstr("thread 3 has returned")));
  });
  EXPECT_THAT(Refusal(ForeignMaskKernel, 1, 32, 5), HasSubstr("mask lacks its own lane"));
  EXPECT_EQ(Refusal(DivergentBarrierKernel, 1, 64, 64), "") << "the harness continues after an error";
}

__global__ void ForeignLaneKernel() {
  if (threadIdx.x < 4) __shfl_sync(0x0000000f, 1, 5);
}

TEST(HostCuda, AShuffleFromALaneOutsideItsMaskIsAnError) {
  EXPECT_THAT(Refusal(ForeignLaneKernel, 1, 32), HasSubstr("reads a lane outside its mask"));
}

TEST(HostCuda, RefusesLaunchesThatCudaRefuses) {
  std::vector<int> out(4096);
  EXPECT_THAT(Refusal(NumberKernel, 0, 32, out.data()), HasSubstr("no block"));
  EXPECT_THAT(Refusal(NumberKernel, 1, 1025, out.data()), HasSubstr("1025 threads"));
  EXPECT_THAT(Refusal(NumberKernel, dim3(1, 65536), 1, out.data()), HasSubstr("grid is too large"));
}

TEST(HostCuda, BfloatRoundsToNearestEven) {
  EXPECT_EQ(static_cast<float>(__nv_bfloat16(1.00390625f)), 1.0f);    // half a unit above 1: to even
  EXPECT_EQ(static_cast<float>(__nv_bfloat16(1.01171875f)), 1.015625f);
  EXPECT_EQ(static_cast<float>(__nv_bfloat16(1.00390637f)), 1.0078125f);
  EXPECT_TRUE(std::isnan(static_cast<float>(__nv_bfloat16(NAN))));
  EXPECT_TRUE(std::isinf(static_cast<float>(__nv_bfloat16(3.4e38f))));
}

// d [16, 8] = c + a [16, 16] b [16, 8], each lane loading its fragments as the PTX manual lists them.
__global__ void ProductKernel(const __nv_bfloat16* a, const __nv_bfloat16* b, const float* c, float* d) {
  const int lane = static_cast<int>(threadIdx.x), group = lane / 4, pair = lane % 4 * 2;
  const auto two = [](__nv_bfloat16 low, __nv_bfloat16 high) { return low.bits | uint32_t{high.bits} << 16; };
  uint32_t own_a[4], own_b[2];
  float own_d[4];
  for (int i = 0; i < 4; ++i) {
    const int row = group + i % 2 * 8, k = pair + i / 2 * 8;
    own_a[i] = two(a[row * 16 + k], a[row * 16 + k + 1]);
    own_d[i] = c[(group + i / 2 * 8) * 8 + pair + i % 2];
  }
  for (int i = 0; i < 2; ++i) own_b[i] = two(b[(pair + i * 8) * 8 + group], b[(pair + i * 8 + 1) * 8 + group]);
  MmaM16N8K16(own_d, own_a, own_b);
  for (int i = 0; i < 4; ++i) d[(group + i / 2 * 8) * 8 + pair + i % 2] = own_d[i];
}

TEST(HostCuda, TheTensorCoreProductIsTheProductOfItsFragments) {
  std::vector<__nv_bfloat16> a(256), b(128);
  std::vector<float> c(128), d(128);
  for (int i = 0; i < 256; ++i) a[i] = static_cast<float>(i % 23 - 11);
  for (int i = 0; i < 128; ++i) b[i] = static_cast<float>(i % 17 - 8), c[i] = static_cast<float>(i);
  InEveryOrder([&] {
    Launch(ProductKernel, 1, 32, 0, nullptr, a.data(), b.data(), c.data(), d.data());
    for (int row = 0; row < 16; ++row) {
      for (int column = 0; column < 8; ++column) {
        float sum = c[row * 8 + column];
        for (int k = 0; k < 16; ++k) sum += a[row * 16 + k] * b[k * 8 + column];
        EXPECT_EQ(d[row * 8 + column], sum);
      }
    }
  });
}

}  // namespace
}  // namespace muster::cuda
