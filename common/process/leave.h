// The end of a process whose libraries cannot be left in order.
#pragma once

namespace muster {

// Writes out what stdio still holds and ends the process at once, without destructors of static objects and without
// waiting for threads: Gloo's wait while an operation is pending, and the profiler of LibTorch (Kineto) joins a thread
// of its own that may have missed the wake-up, so that a process that has recorded a trace can hang at its end. Any
// thread.
[[noreturn]] void Leave(int code);

}  // namespace muster
