#pragma once

#include "worker/rank/model/encoder_ops.h"

namespace muster {

const EncoderOps& CudaEncoderOps();

}  // namespace muster
