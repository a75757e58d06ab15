// Where a checkpoint's folder holds the job's step log: ranks write it, `muster get JOB --metrics csv` reads it.
#pragma once

namespace muster {

inline constexpr char kStepLogFile[] = "steps.csv";

}  // namespace muster
