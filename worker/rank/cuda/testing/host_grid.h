// Runs a grid of thread blocks on the host: blocks in sequence, the threads of a block as fibers that take turns at
// barriers and warp operations. One grid at a time per process.
//
// It throws std::logic_error, with the place in the source, for
// - a barrier or warp operation that some of its threads never reach (they returned, or wait elsewhere);
// - a warp operation whose mask lacks the caller, or the lane that the caller reads;
// - a launch that CUDA would refuse: no block, too many threads, too much shared memory, a second dimension over 65535.
// Shared memory holds NaN (all bits set) when a block begins. Threads and blocks run in the order that Order names: a
// kernel that lacks a barrier gives different results in different orders.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "worker/rank/cuda/testing/host_fiber.h"

namespace muster::host_cuda {

enum class Order { kForward, kReverse, kShuffled };
inline Order order = Order::kForward;  // of the next launches

// Calls `run` once per order.
template <typename Run>
void InEveryOrder(const Run& run) {
  for (const Order each : {Order::kForward, Order::kReverse, Order::kShuffled}) {
    order = each;
    run();
  }
  order = Order::kForward;
}

struct Extent {
  unsigned x = 1, y = 1, z = 1;
  int64_t count() const { return int64_t{x} * y * z; }
};

constexpr int kWarp = 32;
constexpr int64_t kMostThreads = 1024, kMostSecond = 65535, kMostFirst = 2147483647;
constexpr size_t kMostStatic = 48 << 10, kMostShared = 227 << 10;  // bytes per block, of sm_90
constexpr size_t kSlotBytes = 32;                                  // what a lane shows to its warp

class Grid {
 public:
  static Grid& Instance() {
    static Grid grid;
    return grid;
  }

  void Run(const Extent& grid, const Extent& block, size_t dynamic_bytes, const std::function<void()>& kernel) {
    const std::lock_guard lock(mutex_);
    CheckLaunch(grid, block, dynamic_bytes);
    grid_ = grid, block_ = block, dynamic_bytes_ = dynamic_bytes, kernel_ = &kernel;
    std::vector<int64_t> blocks(grid.count());
    Arrange(blocks);
    for (const int64_t index : blocks) RunBlock(index);
  }

  // Indices of the thread that runs.
  Extent thread_index{0, 0, 0}, block_index{0, 0, 0};
  const Extent& block_extent() const { return block_; }
  const Extent& grid_extent() const { return grid_; }
  int lane() const { return static_cast<int>(current_ % kWarp); }

  void Barrier(const std::source_location& where) { Wait(State::kAtBarrier, 0, where); }

  // Makes `value` readable for the lanes of `mask`, and returns when all of them have arrived at the same place.
  template <typename T>
  void Exchange(unsigned mask, const T& value, const std::source_location& where) {
    static_assert(sizeof(T) <= kSlotBytes);
    if ((mask >> lane() & 1) == 0) Fail(where, "a warp operation whose mask lacks its own lane");
    std::memcpy(threads_[current_]->shown, &value, sizeof(T));
    Wait(State::kAtWarp, mask, where);
  }
  // The value of `lane` in the exchange that has just ended.
  template <typename T>
  T Shown(unsigned mask, int lane, const std::source_location& where) {
    if ((mask >> lane & 1) == 0) Fail(where, "a warp operation that reads a lane outside its mask");
    T value;
    std::memcpy(&value, threads_[current_ / kWarp * kWarp + lane]->seen, sizeof(T));
    return value;
  }

  // Memory of the block: one piece per place in the source (and per instance of its template).
  void* Shared(size_t bytes, const std::source_location& where) {
    for (const Piece& piece : pieces_) {
      if (piece.function == where.function_name() && piece.line == where.line()) return piece.memory.get();
    }
    shared_bytes_ += bytes;
    if (shared_bytes_ > kMostStatic) Fail(where, "more than 48 KiB of static shared memory");
    pieces_.push_back({where.function_name(), where.line(), Poisoned(bytes)});
    return pieces_.back().memory.get();
  }
  void* DynamicShared() { return dynamic_.get(); }

 private:
  enum class State { kReady, kAtBarrier, kAtWarp, kDone };
  struct Thread {
    Fiber fiber;
    State state = State::kReady;
    unsigned mask = 0;
    std::source_location where;
    alignas(16) char shown[kSlotBytes], seen[kSlotBytes];
  };
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  using Memory = std::unique_ptr<void, Free>;
  struct Piece {
    const char* function;
    unsigned line;
    Memory memory;
  };

  static Memory Poisoned(size_t bytes) {
    Memory memory(std::malloc(bytes));
    std::memset(memory.get(), 0xff, bytes);
    return memory;
  }

  static void CheckLaunch(const Extent& grid, const Extent& block, size_t dynamic_bytes) {
    const auto check = [](bool holds, const std::string& what) {
      if (!holds) throw std::logic_error("a launch that CUDA refuses: " + what);
    };
    check(grid.count() > 0 && block.count() > 0, "no block, or no thread");
    check(block.count() <= kMostThreads, std::to_string(block.count()) + " threads per block");
    check(grid.x <= kMostFirst && grid.y <= kMostSecond && grid.z <= kMostSecond, "the grid is too large");
    check(dynamic_bytes <= kMostShared, std::to_string(dynamic_bytes) + " bytes of shared memory");
  }

  void Arrange(std::vector<int64_t>& list) {
    std::iota(list.begin(), list.end(), int64_t{0});
    if (order == Order::kReverse) std::reverse(list.begin(), list.end());
    if (order == Order::kShuffled) std::shuffle(list.begin(), list.end(), random_);
  }

  void RunBlock(int64_t index) {
    block_index = {static_cast<unsigned>(index % grid_.x), static_cast<unsigned>(index / grid_.x % grid_.y),
                   static_cast<unsigned>(index / grid_.x / grid_.y)};
    pieces_.clear();
    shared_bytes_ = 0;
    dynamic_ = Poisoned(dynamic_bytes_);
    live_ = block_.count();
    while (static_cast<int64_t>(threads_.size()) < live_) threads_.push_back(std::make_unique<Thread>());
    std::vector<int64_t> turns(live_);
    for (int64_t t = 0; t < live_; ++t) {
      threads_[t]->state = State::kReady;
      threads_[t]->fiber.Start(&Grid::Entry);
    }
    const int64_t all = live_;
    while (true) {
      Arrange(turns);
      for (const int64_t t : turns) {
        if (threads_[t]->state == State::kReady) Resume(t);
        if (!failure_.empty()) throw std::logic_error(std::exchange(failure_, {}));
      }
      if (live_ == 0) return;
      const bool warps = ReleaseWarps(all), barrier = ReleaseBarrier(all);
      if (!warps && !barrier) throw std::logic_error("threads that wait for others that never come: " + Describe(all));
    }
  }

  void Resume(int64_t t) {
    current_ = t;
    thread_index = {static_cast<unsigned>(t % block_.x), static_cast<unsigned>(t / block_.x % block_.y),
                    static_cast<unsigned>(t / block_.x / block_.y)};
    scheduler_.SwitchTo(threads_[t]->fiber);
  }

  static void Entry() {
    Grid& grid = Instance();
    Thread& own = *grid.threads_[grid.current_];
    own.fiber.Arrived();
    (*grid.kernel_)();
    own.state = State::kDone;
    --grid.live_;
    own.fiber.FinishInto(grid.scheduler_);
  }

  void Wait(State state, unsigned mask, const std::source_location& where) {
    Thread& own = *threads_[current_];
    own.state = state, own.mask = mask, own.where = where;
    own.fiber.SwitchTo(scheduler_);
  }

  // Called within a thread of the block. Its stack is never unwound, so nothing on it may own memory.
  void Fail(const std::source_location& where, const char* what) {
    failure_.assign(what).append(", at ");
    failure_ += PlaceOf(where);
    threads_[current_]->fiber.SwitchTo(scheduler_);
  }

  static bool SamePlace(const Thread& a, const Thread& b) {
    return a.where.line() == b.where.line() && a.where.column() == b.where.column() &&
           std::strcmp(a.where.file_name(), b.where.file_name()) == 0;
  }

  // Releases the operations at which every lane of the mask has arrived.
  bool ReleaseWarps(int64_t all) {
    bool released = false;
    for (int64_t t = 0; t < all; ++t) {
      Thread& first = *threads_[t];
      if (first.state != State::kAtWarp) continue;
      const int64_t warp = t / kWarp * kWarp;
      bool complete = true;
      for (int lane = 0; lane < kWarp; ++lane) {
        if ((first.mask >> lane & 1) == 0 || warp + lane >= all) continue;
        const Thread& other = *threads_[warp + lane];
        complete = complete && other.state == State::kAtWarp && other.mask == first.mask && SamePlace(first, other);
      }
      if (!complete) continue;
      const unsigned mask = first.mask;
      for (int lane = 0; lane < kWarp; ++lane) {
        if ((mask >> lane & 1) == 0 || warp + lane >= all) continue;
        Thread& other = *threads_[warp + lane];
        std::memcpy(other.seen, other.shown, kSlotBytes);
        other.state = State::kReady;
      }
      released = true;
    }
    return released;
  }

  // On most GPUs, threads that have returned count as arrived; CUDA's manual calls that undefined, so it is an error
  // here.
  bool ReleaseBarrier(int64_t all) {
    for (int64_t t = 0; t < all; ++t) {
      if (threads_[t]->state != State::kAtBarrier || !SamePlace(*threads_[t], *threads_[0])) return false;
    }
    for (int64_t t = 0; t < all; ++t) threads_[t]->state = State::kReady;
    return true;
  }

  static std::string PlaceOf(const std::source_location& where) {
    const std::string file = where.file_name();
    return file.substr(file.rfind('/') + 1) + ":" + std::to_string(where.line());
  }

  // The first thread of each state and place.
  std::string Describe(int64_t all) const {
    std::string text;
    for (int64_t t = 0; t < all; ++t) {
      const Thread& own = *threads_[t];
      bool known = false;
      for (int64_t other = 0; other < t && !known; ++other) {
        const Thread& before = *threads_[other];
        known = own.state == before.state && (own.state == State::kDone || SamePlace(own, before));
      }
      if (known) continue;
      text += (text.empty() ? "thread " : "; thread ") + std::to_string(t);
      text += own.state == State::kDone        ? " has returned"
              : own.state == State::kAtBarrier ? " waits at the barrier " + PlaceOf(own.where)
                                               : " waits at the warp operation " + PlaceOf(own.where);
    }
    return text;
  }

  std::mutex mutex_;
  std::mt19937_64 random_{12345};
  Extent grid_, block_;
  size_t dynamic_bytes_ = 0, shared_bytes_ = 0;
  const std::function<void()>* kernel_ = nullptr;
  std::vector<std::unique_ptr<Thread>> threads_;
  Fiber scheduler_;
  int64_t current_ = 0, live_ = 0;
  std::vector<Piece> pieces_;
  Memory dynamic_;
  std::string failure_;
};

}  // namespace muster::host_cuda
