// The report of an import as a file.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Checks before anything is sent: INVALID_ARGUMENT unless `file` is empty, or ends with .html or .json in an existing
// folder.
absl::Status CheckReportFile(const std::string& file);
// Writes the file completely or not at all; does nothing if `file` is empty.
absl::Status WriteReportFile(const std::string& file, const muster::v1::ImportReport& report);

}  // namespace muster
