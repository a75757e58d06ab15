// A study's report as files. Pure: equal figures give equal bytes.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "client/study/cell_result.h"
#include "client/study/study_figures.h"
#include "client/study/study_file.h"

namespace muster {

std::string StudyMarkdown(const StudyFile& study, const StudyFigures& figures);
// One page, without scripts, that needs no other file.
std::string StudyHtml(const StudyFile& study, const StudyFigures& figures);

// CSV, numbers with all digits.
std::string StudyArmsCsv(const StudyFile& study, const StudyFigures& figures);            // a line per metric and arm
std::string StudyPairsCsv(const StudyFile& study, const StudyFigures& figures);           // a line per comparison
std::string StudyCellsCsv(const StudyFile& study, absl::Span<const CellResult> results);  // a line per job

// Names and contents of all files.
std::vector<std::pair<std::string, std::string>> StudyReportFiles(const StudyFile& study, absl::Span<const CellResult> results);

// The sentences that explain the figures, for Markdown and HTML.
std::vector<std::string> StudyMethod(const StudyFile& study, const StudyFigures& figures);
// Rows of text, the first with the headers, for one metric; only the header if there are none.
std::vector<std::vector<std::string>> StudyArmRows(const StudyFile& study, const StudyFigures& figures, size_t metric);
std::vector<std::vector<std::string>> StudyPairRows(const StudyFile& study, const StudyFigures& figures, size_t metric);

}  // namespace muster
