// The path of the job's step log in a checkpoint's folder: ranks write it, `muster get JOB --metrics csv` reads it.
#pragma once

namespace muster {

inline constexpr char kStepLogFile[] = "steps.csv";

}  // namespace muster
