// A recording of steps that Perfetto (https://ui.perfetto.dev) and chrome://tracing open: every operation of LibTorch,
// the phases of a step, and on a GPU its kernels. LibTorch's own profiler (Kineto) makes it.
#pragma once

#include <cstdint>
#include <filesystem>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace muster {

// Only for the training thread; one recorder per process records at a time. Recorded steps are slower. A
// process that has recorded ends by Leave() (common/process/leave.h), since the profiler's own end can hang.
class TraceRecorder {
 public:
  struct Options {
    uint64_t skip = 2;   // steps before the recording: the first ones allocate and tune
    uint64_t steps = 0;  // 0: nothing is recorded
    std::filesystem::path file;  // Chrome's trace event format, JSON; written once
    bool gpu = false;
  };
  explicit TraceRecorder(Options options);
  ~TraceRecorder();  // drops a recording that has not been written
  TraceRecorder(const TraceRecorder&) = delete;
  TraceRecorder& operator=(const TraceRecorder&) = delete;

  // Call these before and after each step.
  void BeforeStep();
  // Returns true once: when the last step of the recording, or of the run (`last`), has been recorded and the file is written.
  absl::StatusOr<bool> AfterStep(bool last);

 private:
  const Options options_;
  uint64_t steps_done_ = 0;
  bool recording_ = false;
};

}  // namespace muster
