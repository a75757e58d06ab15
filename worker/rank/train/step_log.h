// A job's step log: CSV with one line a step, over all attempts. Columns: docs/data-schemas.md.
//
// It travels in the checkpoint's folder and goes on from there, so that a step of a dead attempt beyond the checkpoint
// is never in it, and every step is in it once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/step_log_file.h"
#include "worker/rank/train/trainer.h"

namespace muster {

// Lines end with a newline. `seconds`: of the whole step, with its data.
std::string StepLogHeader();
std::string StepLogLine(const StepReport& report, uint32_t attempt, double seconds, absl::Time now);

// Whether `text` is the header and the steps 1 to `steps` in ascending order. INVALID_ARGUMENT names the first line that
// is not.
absl::Status CheckStepLog(const std::string& text, uint64_t steps);

// The log of one attempt, in a file of its own. Not thread-safe.
class StepLog {
 public:
  explicit StepLog(std::filesystem::path file) : file_(std::move(file)) {}

  absl::Status Clear();  // to the header alone
  absl::Status Append(const StepReport& report, uint32_t attempt, double seconds, absl::Time now);

  // Into a checkpoint's folder, which is made if absent.
  absl::Status WriteTo(const std::filesystem::path& folder) const;
  // From a checkpoint of `steps` steps. Nothing changes if its log is absent or does not fit.
  absl::Status ReadFrom(const std::filesystem::path& folder, uint64_t steps);

 private:
  std::filesystem::path file_;
};

}  // namespace muster
