// Memory for large CPU tensors: blocks that are mapped once and reused.
//
// glibc either maps and unmaps every large block, so that each step pays for all its pages again, or keeps them in a heap that
// blocks of varying sizes fragment, so that the peak grows with the number of micro-batches. Here a block goes back to a list
// of its size class (eight to a doubling), and new memory is mapped only if no idle block fits. After that, idle memory is
// returned, the longest idle first, until the total is at most the largest amount that was ever in use at once, rounded up to
// size classes. While that is below kMostWithSpare, kSpare more are kept: an evaluation has few tensors at once, whose sizes
// alternate, and would otherwise map new memory in each layer.
#pragma once

#include <cstddef>
#include <cstdint>

namespace muster {

inline constexpr size_t kSmallestBlock = size_t{256} << 10;  // smaller tensors stay with malloc
inline constexpr size_t kSpare = size_t{256} << 20, kMostWithSpare = size_t{1} << 30;

// The size class of `bytes` >= kSmallestBlock: at most an eighth larger, a multiple of 4096.
size_t BlockSize(size_t bytes);

// Applies to all CPU tensors that the process makes from now on. Call it in main(), before the first tensor. Thread-safe.
void UseBlockAllocator();

// Gives all idle memory back to the system, as malloc_trim does for malloc's.
void ReturnIdleBlocks();

// The bytes that the allocator holds now.
struct BlockUse {
  size_t in_use = 0, idle = 0, mapped_ever = 0;
};
BlockUse CurrentBlockUse();

}  // namespace muster
