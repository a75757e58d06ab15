// Ends a process whose libraries cannot be shut down cleanly.
#pragma once

namespace muster {

// Flushes stdio and ends the process immediately, without destructors of static objects and without waiting for
// threads: Gloo's threads wait while an operation is pending, and LibTorch's profiler (Kineto) joins a thread that may
// have missed its wake-up, so that a process that has recorded a trace can hang on exit. May be called from any
// thread.
[[noreturn]] void Leave(int code);

}  // namespace muster
