// The report of an import, as text.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "muster/v1/data.pb.h"

namespace muster {

std::string ImportReportText(const muster::v1::ImportReport& report);
// One page that needs no other file and no network. All text from the data is escaped.
std::string ImportReportHtml(const muster::v1::ImportReport& report);
// The page's warnings, tables and lists, with titles in elements of this name ("h2"), for other pages.
std::string ImportReportSections(const muster::v1::ImportReport& report, const std::string& heading);
std::string DatasetText(const muster::v1::Dataset& dataset);  // counts, splits, sources: a few lines

// The warnings of a report, each with what to do; sentences.
std::vector<std::string> ReportWarnings(const muster::v1::ImportReport& report);
// Label → queries: "1", "2", then ranges that double ("3-4", "5-8").
std::vector<std::pair<std::string, uint64_t>> PositivesHistogram(const muster::v1::ImportReport& report);
// Grade → judgments, in ascending order of the grades.
std::vector<std::pair<std::string, uint64_t>> OrderedGrades(const muster::v1::ImportReport& report);
std::string PercentText(double share);  // 12.34 %

}  // namespace muster
