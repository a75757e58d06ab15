// Prints the result of a dry run as text.
#pragma once

#include <string>

#include "muster/v1/job.pb.h"

namespace muster {

std::string PreviewText(const muster::v1::SubmitJobResponse& response);

}  // namespace muster
