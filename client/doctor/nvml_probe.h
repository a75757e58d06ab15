// Health of the GPUs through NVML, opened at run time: absent where there is no driver.
#pragma once

#include "client/doctor/host_checks.h"

namespace muster {

NvmlFacts ProbeNvml();

}  // namespace muster
