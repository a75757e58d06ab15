#include "worker/rank/cuda/dropout_kernels.h"

#include "worker/rank/cuda/device_rows.h"

namespace muster::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostChunks = 65535;  // a grid's second dimension

// blockIdx.x: the sequence; blockIdx.y: a stretch of its Philox blocks.
template <typename T>
__global__ void __launch_bounds__(kThreads) ApplyMaskKernel(const MaskJob job) {
  using A = ParameterOf<T>;
  const int64_t sequence = blockIdx.x;
  const uint64_t key = MixKey(MixKey(static_cast<uint64_t>(job.keys[sequence]), job.layer), job.site);
  const T* x = static_cast<const T*>(job.x) + sequence * job.width;
  T* out = static_cast<T*>(job.out) + sequence * job.width;
  const int64_t blocks = (job.width + kPacket - 1) / kPacket;
  const A scale = static_cast<A>(job.scale);
  for (int64_t block = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x; block < blocks;
       block += static_cast<int64_t>(gridDim.y) * kThreads) {
    const int64_t first = block * kPacket;
    const int count = CountOf(job.width, first);
    const auto words = Philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0}, key);
    A values[kPacket];
    LoadPacket(x + first, count, values);
#pragma unroll
    for (int i = 0; i < kPacket; ++i) {
      const uint32_t decision = words[i / 2] >> (i % 2 * 16) & 0xffff;
      values[i] *= decision < job.threshold ? A{0} : scale;
    }
    StorePacket(values, count, out + first);
  }
}

template <typename T>
cudaError_t LaunchMask(const MaskJob& job, cudaStream_t stream) {
  const int64_t blocks = (job.width + kPacket - 1) / kPacket;
  const int64_t chunks = (blocks + kThreads - 1) / kThreads;
  const dim3 grid(static_cast<unsigned>(job.sequences),
                  static_cast<unsigned>(chunks < kMostChunks ? chunks : kMostChunks));
  return Launch(ApplyMaskKernel<T>, grid, kThreads, 0, stream, job);
}

}  // namespace

int ApplyMask(const MaskJob& job, void* stream) {
  if (job.sequences == 0 || job.width == 0) return cudaSuccess;
  const auto on = static_cast<cudaStream_t>(stream);
  switch (job.element) {
    case Element::kFloat:
      return LaunchMask<float>(job, on);
    case Element::kDouble:
      return LaunchMask<double>(job, on);
    case Element::kBfloat16:
      return LaunchMask<__nv_bfloat16>(job, on);
  }
  return cudaErrorInvalidValue;
}

}  // namespace muster::cuda
