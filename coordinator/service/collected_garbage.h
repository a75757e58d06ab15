// What a collection of garbage answers.
#pragma once

#include <string>
#include <vector>

#include "muster/v1/garbage.pb.h"

namespace muster {

struct CollectedGarbage {
  muster::v1::CollectGarbageResponse response;
  std::vector<std::string> notes;  // of the data server, human-readable: manifests that can never be read
};

}  // namespace muster
