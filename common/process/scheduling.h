// How the kernel's scheduler treats the calling thread, and the threads and processes that it starts later.
#pragma once

namespace muster {

// A thread that wakes does not interrupt the one that runs on its core, but waits for the end of its slice (SCHED_BATCH). For
// threads that serve calls and all wait for one other thread: each reply would otherwise interrupt that one. On
// two cores the coordinator takes 13 to 30% more submissions per second with it. No effect where the system refuses it.
void WakeWithoutInterrupting();
// The default (SCHED_OTHER).
void WakeAtOnce();

}  // namespace muster
