// What an import is told before its files.
#pragma once

#include "absl/status/status.h"
#include "muster/v1/data.pb.h"

namespace muster {

// INVALID_ARGUMENT names the field that is wrong and what it may be.
absl::Status CheckImportHeader(const muster::v1::ImportHeader& header);

}  // namespace muster
