// A job's step log: CSV with one line per step, over all attempts. Columns: docs/reference/data-schemas.md.
//
// It travels in the checkpoint's folder and continues from there, so that a step of a dead attempt beyond the checkpoint
// is never in it, and every step is in it once. It is informational: whatever happens to it, training and checkpoints continue.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/step_log_file.h"
#include "worker/rank/train/trainer.h"

namespace muster {

// Lines end with a newline. `seconds`: the time of the whole step, including the wait for its data.
std::string StepLogHeader();
std::string StepLogLine(const StepReport& report, uint32_t attempt, double seconds, absl::Time now);

// A log that an attempt continues.
struct AdoptedStepLog {
  std::string text;  // with the header of this version
  std::string note;  // human-readable: what had to be left out; empty: nothing
};
// Continues the log of a checkpoint of `steps` steps, perhaps from another version. Columns are found by name: absent ones are
// empty. Unknown columns, and lines that are not steps of this checkpoint, are left out.
AdoptedStepLog AdoptStepLog(const std::string& text, uint64_t steps);

// The log of one attempt, in a separate file. Not thread-safe.
class StepLog {
 public:
  explicit StepLog(std::filesystem::path file) : file_(std::move(file)) {}

  absl::Status Clear();  // leaves only the header
  absl::Status Append(const StepReport& report, uint32_t attempt, double seconds, absl::Time now);

  // The log's size now. 0: there is no log.
  uint64_t Size() const;
  // Copies its first `size` bytes into a checkpoint's folder, created if absent. May run concurrently with Append.
  absl::Status WriteTo(const std::filesystem::path& folder, uint64_t size) const;
  // Continues from a checkpoint of `steps` steps. Returns a note about the parts of its log that could not be used.
  std::string ReadFrom(const std::filesystem::path& folder, uint64_t steps);

 private:
  std::filesystem::path file_;
};

}  // namespace muster
