// The report of an import as a file.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Before anything is sent: INVALID_ARGUMENT unless `file` is empty, or ends with .html or .json in a folder that is there.
absl::Status CheckReportFile(const std::string& file);
// Written whole or not at all; nothing where `file` is empty.
absl::Status WriteReportFile(const std::string& file, const muster::v1::ImportReport& report);

}  // namespace muster
