#include "client/report_file.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "client/import_report.h"
#include "client/output.h"
#include "common/files.h"

namespace muster {

absl::Status CheckReportFile(const std::string& file) {
  if (file.empty()) return absl::OkStatus();
  const std::filesystem::path path(file);
  if (path.extension() != ".html" && path.extension() != ".json") {
    return absl::InvalidArgumentError(
        absl::StrCat("--report ", file, ": a report is written as a page or as JSON. Name the file *.html or *.json."));
  }
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--report ", file, ": there is no folder ", folder.string(), ". Make it first."));
}

absl::Status WriteReportFile(const std::string& file, const muster::v1::ImportReport& report) {
  if (file.empty()) return absl::OkStatus();
  const bool html = std::filesystem::path(file).extension() == ".html";
  return WriteFileAtomically(file, html ? ImportReportHtml(report) : JsonText(report) + "\n");
}

}  // namespace muster
