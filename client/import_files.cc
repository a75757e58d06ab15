#include "client/import_files.h"

#include <glob.h>

#include <algorithm>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/files.h"
#include "common/split_name.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr absl::string_view kBeir = "beir";
constexpr int kQrels = 2, kQrelsBeside = 3;  // qrels/test.tsv; qrels.test.txt, which is used if there is no folder qrels

std::string WithoutCompression(const std::string& name) {
  return std::string(absl::StripSuffix(absl::StripSuffix(name, ".gz"), ".zst"));
}

// The position of a file in the order of a BEIR folder; -1: not one of its files.
int BeirOrder(const std::string& name) {
  const std::string plain = WithoutCompression(name);
  if (plain == "corpus.jsonl") return 0;
  if (plain == "queries.jsonl") return 1;
  const std::filesystem::path path(plain);
  const std::string ending = path.extension().string();
  if (ending != ".tsv" && ending != ".txt" && ending != ".qrels") return -1;
  if (path.parent_path() == "qrels") return kQrels;
  return !path.has_parent_path() && absl::StartsWith(plain, "qrels") ? kQrelsBeside : -1;
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
    files.push_back({it->path(), it->path().lexically_relative(folder).generic_string(), it->file_size(error), ""});
  }
  if (error) return absl::InvalidArgumentError(absl::StrCat(folder.string(), ": ", error.message()));
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

// Files that a folder of data may also contain: descriptions that Hugging Face's tools write.
bool IsDescription(const std::string& name) {
  const std::string file = std::filesystem::path(name).filename().string();
  return file == "dataset_infos.json" || file == "dataset_info.json" || file == "dataset_dict.json" || file == "state.json";
}

bool IsData(const std::string& name) {
  const std::string plain = WithoutCompression(name);
  for (const absl::string_view ending : {".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".qrels"}) {
    if (absl::EndsWith(plain, ending)) return !IsDescription(plain);
  }
  return false;
}

// A folder whose subfolders are BEIR datasets is not a dataset itself.
absl::Status CheckOneDataset(const std::filesystem::path& folder, const std::vector<ImportSource>& files) {
  std::vector<std::string> datasets;
  for (const ImportSource& file : files) {
    const std::filesystem::path path(WithoutCompression(file.name));
    if (path.filename() == "corpus.jsonl" && path.has_parent_path()) datasets.push_back(path.parent_path().string());
  }
  if (datasets.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      folder.string(), ": holds ", datasets.size(), datasets.size() == 1 ? " BEIR dataset: " : " BEIR datasets: ",
      absl::StrJoin(datasets, ", "), ". Import one of them: ", (folder / datasets.front()).string(), "."));
}

// `split`: for all files of the folder, or empty.
absl::Status AddFolder(const std::filesystem::path& folder, const std::string& schema, const std::string& split,
                       ImportPlan& plan) {
  ASSIGN_OR_RETURN(const std::vector<ImportSource> files, FilesBelow(folder));
  const auto has = [&](int order) {
    return std::any_of(files.begin(), files.end(), [&](const auto& f) { return BeirOrder(f.name) == order; });
  };
  const bool beir = (schema.empty() || schema == kBeir) && has(0) && (has(1) || has(kQrels));
  if (!has(0)) RETURN_IF_ERROR(CheckOneDataset(folder, files));
  std::vector<ImportSource> chosen;
  for (const ImportSource& file : files) {
    const int order = BeirOrder(file.name);
    const bool wanted = beir ? order >= 0 && !(order == kQrelsBeside && has(kQrels)) : IsData(file.name);
    if (wanted) {
      chosen.push_back(file);
      chosen.back().split = split;
    } else {
      plan.left_out.push_back(file.name);
    }
  }
  if (chosen.empty()) {
    const bool is_saved = std::any_of(files.begin(), files.end(), [](const auto& f) { return absl::EndsWith(f.name, ".arrow"); });
    return absl::InvalidArgumentError(absl::StrCat(
        folder.string(), ": has no *.jsonl, *.json, *.csv, *.tsv or *.parquet. ",
        is_saved ? "Its *.arrow files are of datasets.save_to_disk: write them as Parquet, with Python: "
                   "datasets.load_from_disk(FOLDER).to_parquet(\"rows.parquet\")."
                 : "Name the folder or file with the data."));
  }
  if (beir) {
    std::stable_sort(chosen.begin(), chosen.end(),
                     [](const auto& a, const auto& b) { return BeirOrder(a.name) < BeirOrder(b.name); });
  }
  plan.sources.insert(plan.sources.end(), chosen.begin(), chosen.end());
  return absl::OkStatus();
}

absl::Status AddPath(const std::string& path, const std::string& schema, const std::string& split, ImportPlan& plan);

absl::Status AddMatches(const std::string& pattern, const std::string& schema, const std::string& split,
                        ImportPlan& plan) {
  glob_t found = {};
  const int code = glob(pattern.c_str(), 0, nullptr, &found);
  const std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  if (code != 0 || paths.empty()) return absl::InvalidArgumentError(absl::StrCat(pattern, ": matches no file. Correct the pattern; muster expands it from the current folder."));
  for (const std::string& path : paths) RETURN_IF_ERROR(AddPath(path, schema, split, plan));
  return absl::OkStatus();
}

absl::Status AddPath(const std::string& path, const std::string& schema, const std::string& split, ImportPlan& plan) {
  std::error_code error;
  if (path == "-") {
    plan.sources.push_back({"/dev/stdin", std::string(kStandardInput), 0, split});
    return absl::OkStatus();
  }
  if (path.find_first_of("*?[") != std::string::npos && !std::filesystem::exists(path, error)) {
    return AddMatches(path, schema, split, plan);
  }
  if (std::filesystem::is_directory(path, error)) return AddFolder(path, schema, split, plan);
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", error.message(), ". Name a file, a folder, or a pattern."));
  }
  const std::filesystem::path file(path);
  const bool qrels = file.extension() == ".tsv" && file.parent_path().filename() == "qrels";  // of BEIR, without its folder
  plan.sources.push_back({path, absl::StrCat(qrels ? "qrels/" : "", file.filename().string()), size, split});
  return absl::OkStatus();
}

// Handles NAME=PATH: assigns the split to a path that was already named, or adds the path to the import.
absl::Status AddSplitPath(const std::string& split, const std::string& path, const std::string& schema,
                          ImportPlan& plan) {
  if (!IsValidName(split)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--split ", split, "=", path, ": \"", split,
                     "\" is not a valid split name; use 1 to 63 characters of [a-z0-9._-], the first a letter or digit."));
  }
  if (path.empty()) return absl::InvalidArgumentError(absl::StrCat("--split ", split, "=: name the file after the =."));
  ImportPlan named;
  RETURN_IF_ERROR(AddPath(path, schema, split, named));
  for (ImportSource& source : named.sources) {
    std::error_code error;
    const auto known = std::find_if(plan.sources.begin(), plan.sources.end(), [&](const ImportSource& other) {
      return std::filesystem::equivalent(other.file, source.file, error);
    });
    if (known == plan.sources.end()) {
      plan.sources.push_back(std::move(source));
    } else if (known->split.empty() || known->split == split) {
      known->split = split;
    } else {
      return absl::InvalidArgumentError(absl::StrCat(source.file.string(), ": --split names it for ", known->split,
                                                     " and for ", split, ". A file has one split."));
    }
  }
  plan.left_out.insert(plan.left_out.end(), named.left_out.begin(), named.left_out.end());
  return absl::OkStatus();
}

// The common folder of two different files; empty if that is the current folder or the root.
std::filesystem::path FolderAbove(const std::filesystem::path& a, const std::filesystem::path& b) {
  const std::filesystem::path left = a.lexically_normal(), right = b.lexically_normal();
  std::filesystem::path folder;
  for (auto l = left.begin(), r = right.begin(); l != left.end() && r != right.end() && *l == *r; ++l, ++r) folder /= *l;
  return folder == folder.root_path() ? std::filesystem::path() : folder;
}

// "--split train=s/train", where the file's folder is named after a split.
std::string SplitFlagOf(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.lexically_normal().parent_path();
  const std::string split = SplitOfWord(folder.filename().string());
  return split.empty() ? absl::StrCat("--split NAME=", file.string()) : absl::StrCat("--split ", split, "=", folder.string());
}

absl::Status SameName(const ImportSource& first, const ImportSource& second) {
  const std::filesystem::path above = FolderAbove(first.file, second.file);
  return absl::InvalidArgumentError(absl::StrCat(
      first.file.string(), " and ", second.file.string(), ": two files named ", second.name, ". ",
      above.empty() ? "Name the split of each: "
                    : absl::StrCat("Name the folder above them, ", above.string(), ", or name the split of each: "),
      SplitFlagOf(first.file), " ", SplitFlagOf(second.file), "."));
}

// Files with the same name in different folders (train/data.jsonl, test/data.jsonl) are named with their folders if each has
// its own split.
absl::Status NameApart(ImportPlan& plan) {
  std::map<std::string, size_t> uses;
  for (const ImportSource& source : plan.sources) ++uses[source.name];
  std::map<std::string, const ImportSource*> named;
  for (ImportSource& source : plan.sources) {
    const std::string folder = std::filesystem::absolute(source.file).parent_path().filename().string();
    if (uses[source.name] > 1 && !source.split.empty() && !folder.empty()) {
      source.name = absl::StrCat(folder, "/", source.name);
    }
    const auto [first, is_new] = named.emplace(source.name, &source);
    if (is_new) continue;
    std::error_code error;
    if (std::filesystem::equivalent(first->second->file, source.file, error)) {
      return absl::InvalidArgumentError(absl::StrCat(source.file.string(), ": is named twice. Name each file once."));
    }
    return SameName(*first->second, source);
  }
  return absl::OkStatus();
}

// The server checks the same rule on the files that arrive; this checks it before anything is sent.
absl::Status CheckSplits(const ImportPlan& plan) {
  SplitAssignment splits(plan.split);
  for (const ImportSource& source : plan.sources) {
    if (TableNamedBy(source.name) != TableName::kNone && source.split.empty()) continue;  // has no judgments
    ASSIGN_OR_RETURN(const SplitAssignment::Assigned assigned, splits.Add(source.name, source.split));
    if (assigned.by_name || !source.split.empty() || !plan.split.empty()) continue;
    if (source.name == kStandardInput) continue;  // its folder, /dev, does not name a split
    // The server does not see the folder that the user named: test/part-0.jsonl would arrive as part-0.jsonl.
    const std::filesystem::path folder = source.file.lexically_normal().parent_path();
    const std::string named = SplitOfWord(folder.filename().string());
    if (named.empty() || named == assigned.split) continue;
    return absl::InvalidArgumentError(absl::StrCat(source.file.string(),
                                                   ": no file is named after a split, and their folder "
                                                   "is named ",
                                                   folder.filename().string(), ". Say which split it is: --split ",
                                                   named, " or --split ", assigned.split, "."));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ImportPlan> PlanImport(const ImportWishes& wishes) {
  ImportPlan plan;
  std::vector<std::pair<std::string, std::string>> of_paths;  // split, path
  for (const std::string& split : wishes.splits) {
    const size_t equals = split.find('=');
    if (equals != std::string::npos) {
      of_paths.emplace_back(split.substr(0, equals), split.substr(equals + 1));
    } else if (plan.split.empty()) {
      plan.split = split;
    } else {
      return absl::InvalidArgumentError(absl::StrCat("--split ", plan.split, " --split ", split,
                                                     ": two splits for all files. Name the split of each file: --split ",
                                                     plan.split, "=FILE --split ", split, "=FILE."));
    }
  }
  if (wishes.paths.empty() && of_paths.empty()) {
    return absl::InvalidArgumentError("data import: name the files: a path, or --split NAME=PATH.");
  }
  for (const std::string& path : wishes.paths) RETURN_IF_ERROR(AddPath(path, wishes.schema, "", plan));
  for (const auto& [split, path] : of_paths) RETURN_IF_ERROR(AddSplitPath(split, path, wishes.schema, plan));
  RETURN_IF_ERROR(NameApart(plan));
  const bool beir = wishes.schema == kBeir ||
                    (wishes.schema.empty() && std::any_of(plan.sources.begin(), plan.sources.end(),
                                                          [](const auto& f) { return BeirOrder(f.name) >= 0; }));
  if (!beir) RETURN_IF_ERROR(CheckSplits(plan));  // BEIR's qrels files name the splits
  for (const ImportSource& source : plan.sources) plan.total_bytes += source.size;
  const bool streams = std::any_of(plan.sources.begin(), plan.sources.end(),
                                   [](const ImportSource& source) { return source.name == kStandardInput; });
  if (streams) plan.total_bytes = 0;
  return plan;
}

}  // namespace muster
