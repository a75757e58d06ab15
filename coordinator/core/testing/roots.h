// For tests: what the data server must keep for jobs, in one piece.
#pragma once

#include "coordinator/core/retention.h"

namespace muster {

inline Roots RootsOf(const State& state) {
  Roots roots;
  AddRoots(state, "", state.index.manifests.size() + 1, roots);
  return roots;
}

}  // namespace muster
