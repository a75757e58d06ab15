#pragma once

#include "worker/rank/loss/tile_ops.h"

namespace muster {

const TileOps& CudaTileOps();

}  // namespace muster
