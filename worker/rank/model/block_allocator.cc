#include "worker/rank/model/block_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <list>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace muster {
namespace {

constexpr size_t kClassesPerDoubling = 8, kPage = 4096;

class Blocks {
 public:
  void* Take(size_t bytes) ABSL_LOCKS_EXCLUDED(mutex_) {
    const size_t size = BlockSize(bytes);
    absl::MutexLock lock(&mutex_);
    use_.in_use += size;
    if (auto& same = by_size_[size]; !same.empty()) {
      const auto found = same.back();
      same.pop_back();
      void* const block = found->address;
      idle_.erase(found);
      use_.idle -= size;
      sizes_[block] = size;
      return block;
    }
    most_in_use_ = std::max(most_in_use_, use_.in_use);
    const size_t most = std::max(most_in_use_, std::min(most_in_use_ + kSpare, kMostWithSpare));
    while (!idle_.empty() && use_.in_use + use_.idle > most) ReturnOldest();
    void* const block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
      use_.in_use -= size;
      return nullptr;
    }
    // Large pages: fewer page faults by a factor of 512, and fewer TLB misses in products. No effect on systems without them.
    madvise(block, size, MADV_HUGEPAGE);
    use_.mapped_ever += size;
    sizes_[block] = size;
    return block;
  }

  // False if the pointer is not one of our blocks.
  bool Give(void* block) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    const auto found = sizes_.find(block);
    if (found == sizes_.end()) return false;
    const size_t size = found->second;
    sizes_.erase(found);
    use_.in_use -= size;
    use_.idle += size;
    idle_.push_back({block, size});
    by_size_[size].push_back(std::prev(idle_.end()));
    return true;
  }

  void ReturnIdle() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    while (!idle_.empty()) ReturnOldest();
  }

  BlockUse use() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return use_;
  }

 private:
  struct Idle {
    void* address;
    size_t size;
  };

  void ReturnOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const Idle oldest = idle_.front();
    auto& same = by_size_[oldest.size];
    same.erase(std::ranges::find(same, idle_.begin()));
    idle_.pop_front();
    munmap(oldest.address, oldest.size);
    use_.idle -= oldest.size;
  }

  absl::Mutex mutex_;
  std::list<Idle> idle_ ABSL_GUARDED_BY(mutex_);  // in the order in which they were returned
  std::unordered_map<size_t, std::vector<std::list<Idle>::iterator>> by_size_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<void*, size_t> sizes_ ABSL_GUARDED_BY(mutex_);  // of blocks in use
  BlockUse use_ ABSL_GUARDED_BY(mutex_);
  size_t most_in_use_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Tensors may outlive every static object: it is never destroyed.
Blocks& TheBlocks() {
  static Blocks* const blocks = new Blocks;
  return *blocks;
}

c10::Allocator& Small() { return *c10::GetDefaultCPUAllocator(); }

// Frees memory of either kind, because oneDNN has one function for both. Blocks begin at a page; malloc's chunks seldom do.
void Free(void* address) {
  if (reinterpret_cast<uintptr_t>(address) % kPage == 0 && TheBlocks().Give(address)) return;
  Small().raw_deallocate(address);
}

class BlockAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* const address = bytes < kSmallestBlock ? Small().raw_allocate(bytes) : TheBlocks().Take(bytes);
    TORCH_CHECK(address != nullptr || bytes == 0, "not enough memory: cannot map ", bytes, " bytes");
    return {address, address, &Free, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};

}  // namespace

size_t BlockSize(size_t bytes) {
  const size_t step = std::bit_floor(bytes) / kClassesPerDoubling;
  return (bytes + step - 1) / step * step;
}

void UseBlockAllocator() {
  static BlockAllocator* const allocator = [] {
    auto* const made = new BlockAllocator;
    c10::SetCPUAllocator(made, /*priority=*/1);
    return made;
  }();
  static_cast<void>(allocator);
}

void ReturnIdleBlocks() { TheBlocks().ReturnIdle(); }

BlockUse CurrentBlockUse() { return TheBlocks().use(); }

}  // namespace muster
