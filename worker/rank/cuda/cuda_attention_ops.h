#pragma once

#include "worker/rank/model/attention_ops.h"

namespace muster {

// Takes bfloat16 with heads of 32, 64 or 128 and without a bias of distances.
const AttentionOps& CudaAttentionOps();

}  // namespace muster
