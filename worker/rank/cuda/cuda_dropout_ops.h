#pragma once

#include "worker/rank/model/dropout.h"

namespace muster {

const DropoutOps& CudaDropoutOps();

}  // namespace muster
