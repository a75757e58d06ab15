#include "client/import_files.h"

#include <algorithm>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status.h"

namespace muster {
namespace {

std::string WithoutCompression(const std::string& name) {
  return std::string(absl::StripSuffix(absl::StripSuffix(name, ".gz"), ".zst"));
}

// Where a file stands in the order of a BEIR folder; -1: not one of its files.
int BeirOrder(const std::string& name) {
  const std::string plain = WithoutCompression(name);
  if (plain == "corpus.jsonl") return 0;
  if (plain == "queries.jsonl") return 1;
  const std::filesystem::path path(plain);
  return path.parent_path() == "qrels" && path.extension() == ".tsv" ? 2 : -1;
}

absl::StatusOr<std::vector<ImportSource>> FilesBelow(const std::filesystem::path& folder) {
  std::vector<ImportSource> files;
  std::error_code error;
  std::filesystem::recursive_directory_iterator it(folder, error);
  for (; !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (absl::StartsWith(name, ".")) {
      if (it->is_directory(error)) it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file(error)) continue;
    files.push_back({it->path(), it->path().lexically_relative(folder).generic_string(), it->file_size(error)});
  }
  if (error) return absl::InvalidArgumentError(absl::StrCat(folder.string(), ": ", error.message()));
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

absl::Status AddFolder(const std::filesystem::path& folder, ImportPlan& plan) {
  ASSIGN_OR_RETURN(const std::vector<ImportSource> files, FilesBelow(folder));
  const bool beir = std::any_of(files.begin(), files.end(), [](const auto& f) { return BeirOrder(f.name) == 0; });
  std::vector<ImportSource> chosen;
  for (const ImportSource& file : files) {
    const bool wanted = beir ? BeirOrder(file.name) >= 0 : absl::EndsWith(WithoutCompression(file.name), ".jsonl");
    if (wanted) {
      chosen.push_back(file);
    } else {
      plan.left_out.push_back(file.name);
    }
  }
  if (chosen.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        folder.string(),
        ": has neither corpus.jsonl (a BEIR folder) nor any *.jsonl. Name the folder or file with the data."));
  }
  if (beir) {
    std::stable_sort(chosen.begin(), chosen.end(),
                     [](const auto& a, const auto& b) { return BeirOrder(a.name) < BeirOrder(b.name); });
  }
  plan.sources.insert(plan.sources.end(), chosen.begin(), chosen.end());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ImportPlan> PlanImport(const std::vector<std::string>& paths) {
  ImportPlan plan;
  for (const std::string& path : paths) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
      RETURN_IF_ERROR(AddFolder(path, plan));
    } else if (const uint64_t size = std::filesystem::file_size(path, error); !error) {
      plan.sources.push_back({path, std::filesystem::path(path).filename().string(), size});
    } else {
      return absl::InvalidArgumentError(absl::StrCat(path, ": ", error.message()));
    }
  }
  std::set<std::string> names;
  for (const ImportSource& source : plan.sources) {
    if (!names.insert(source.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(source.file.string(), ": a second file named ", source.name, ". Give files different names."));
    }
    plan.total_bytes += source.size;
  }
  return plan;
}

}  // namespace muster
