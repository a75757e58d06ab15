// The report of an import, for people.
#pragma once

#include <string>

#include "muster/v1/data.pb.h"

namespace muster {

std::string ImportReportText(const muster::v1::ImportReport& report);
std::string DatasetText(const muster::v1::Dataset& dataset);  // counts, splits, sources: a few lines

}  // namespace muster
