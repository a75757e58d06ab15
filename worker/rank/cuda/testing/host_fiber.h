// A switch between stacks, for the threads of a block. AddressSanitizer is notified of it; otherwise it would take the
// second stack for a damaged first one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MUSTER_HOST_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define MUSTER_HOST_ASAN 1
#endif

#ifdef MUSTER_HOST_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace muster::host_cuda {

#ifdef __x86_64__
// Saves the registers that a call keeps, stores the stack pointer in *save, and continues where `load` was saved.
#ifdef MUSTER_HOST_ASAN
__attribute__((no_sanitize_address))
#endif
__attribute__((naked, noinline)) inline void
SwitchStacks(void** /*save: rdi*/, void* /*load: rsi*/) {
  asm("pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
      "movq %rsp, (%rdi)\n movq %rsi, %rsp\n"
      "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret");
}
#endif

// One stack and where it was left. Not movable once it has started.
class Fiber {
 public:
  static constexpr size_t kStackBytes = 128 << 10;

  // The fiber that called Enter() last, or the program's own stack.
  Fiber() = default;

  // Runs `entry` at the next SwitchTo(*this). `entry` never returns: it leaves by Finish().
  void Start(void (*entry)()) {
    if (stack_ == nullptr) stack_.reset(new char[kStackBytes]);
#ifdef MUSTER_HOST_ASAN
    __asan_unpoison_memory_region(stack_.get(), kStackBytes);  // of frames that ended without a return
    fake_stack_ = nullptr;
#endif
#ifdef __x86_64__
    const uintptr_t top = (reinterpret_cast<uintptr_t>(stack_.get()) + kStackBytes) & ~uintptr_t{15};
    void** words = reinterpret_cast<void**>(top) - 8;  // six registers, the entry, and a caller of 0
    std::memset(words, 0, 8 * sizeof(void*));
    words[6] = reinterpret_cast<void*>(entry);
    place_ = words;
#else
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_.get();
    context_.uc_stack.ss_size = kStackBytes;
    context_.uc_link = nullptr;
    makecontext(&context_, entry, 0);
#endif
  }

  // Leaves this fiber, which runs, for `next`.
  void SwitchTo(Fiber& next) {
    Leave(next, /*for_good=*/false);
    Arrived();
  }
  // Leaves this fiber for the last time.
  void FinishInto(Fiber& next) { Leave(next, /*for_good=*/true); }
  // The first thing that an entry calls.
  void Arrived() {
#ifdef MUSTER_HOST_ASAN
    const void* bottom = nullptr;
    size_t size = 0;
    __sanitizer_finish_switch_fiber(fake_stack_, &bottom, &size);
    if (came_from_ != nullptr && came_from_->stack_ == nullptr) {  // the program's own stack, whose bounds ASan knows
      came_from_->bottom_ = bottom;
      came_from_->size_ = size;
    }
#endif
  }

 private:
  void Leave(Fiber& next, [[maybe_unused]] bool for_good) {
#ifdef MUSTER_HOST_ASAN
    next.came_from_ = this;
    const void* bottom = next.stack_ != nullptr ? next.stack_.get() : next.bottom_;
    const size_t size = next.stack_ != nullptr ? kStackBytes : next.size_;
    __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_stack_, bottom, size);
#endif
#ifdef __x86_64__
    SwitchStacks(&place_, next.place_);
#else
    swapcontext(&context_, &next.context_);
#endif
  }

  std::unique_ptr<char[]> stack_;  // null: the program's own
#ifdef __x86_64__
  void* place_ = nullptr;
#else
  ucontext_t context_;
#endif
#ifdef MUSTER_HOST_ASAN
  Fiber* came_from_ = nullptr;
  void* fake_stack_ = nullptr;
  const void* bottom_ = nullptr;
  size_t size_ = 0;
#endif
};

}  // namespace muster::host_cuda
