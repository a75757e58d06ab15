#include "client/study/study_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/job_file.h"
#include "client/study/study_grid.h"
#include "client/words.h"
#include "common/deterministic_bytes.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/nearest_name.h"
#include "common/retrieval/metric_name.h"
#include "common/retrieval/metrics.h"
#include "common/spec/job_spec.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::v1::JobSpec;

constexpr size_t kNameDigits = 10;  // digits of the digest in a job's name
constexpr size_t kLongestJobName = 63;

// The nodes of a study file by key.
using StudyKeys = std::map<std::string, YAML::Node>;

absl::StatusOr<StudyKeys> ReadKeys(const StudyPlace& place, const YAML::Node& node, const std::string& section,
                                   const std::vector<std::string>& allowed) {
  RETURN_IF_ERROR(place.CheckMap(node, section, absl::StrCat(allowed.front(), ": …")));
  StudyKeys keys;
  for (const auto& entry : node) {
    const std::string key = entry.first.Scalar();
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) {
      return place.Wrong(entry.first, absl::StrCat(section, section.empty() ? "" : ".", key),
                         absl::StrCat("unknown key. ", AllowedNames(key, allowed)));
    }
    keys.emplace(key, entry.second);
  }
  return keys;
}

absl::StatusOr<std::string> ReadStudyName(const StudyPlace& place, const YAML::Node& root, const StudyKeys& keys) {
  const auto found = keys.find("study");
  if (found == keys.end()) return place.Wrong(root, "study", "is missing: the name of the study. Add study: NAME.");
  const std::string name = found->second.IsScalar() ? found->second.Scalar() : "";
  if (IsValidName(name) && name.size() <= kLongestStudyName) return name;
  return place.Wrong(found->second, "study",
                     absl::StrCat("\"", name, "\" is not a name of at most ", kLongestStudyName,
                                  " characters: small letters, digits, '.', '_' and '-'."));
}

// A list of seeds, or their number.
absl::StatusOr<std::vector<uint64_t>> ReadSeeds(const StudyPlace& place, const YAML::Node& node) {
  std::vector<uint64_t> seeds;
  if (node.IsScalar()) {
    uint64_t count = 0;
    if (!absl::SimpleAtoi(node.Scalar(), &count) || count == 0 || count > kMostStudyCells) {
      return place.Wrong(node, "seeds",
                         absl::StrCat("\"", node.Scalar(), "\" is not a number of seeds from 1 to ", kMostStudyCells,
                                      ". Give a number, or a list such as [1, 2, 3]."));
    }
    for (uint64_t seed = 1; seed <= count; ++seed) seeds.push_back(seed);
    return seeds;
  }
  if (!node.IsSequence() || node.size() == 0) {
    return place.Wrong(node, "seeds", "must be a number, or a list such as [1, 2, 3].");
  }
  for (const YAML::Node& item : node) {
    uint64_t seed = 0;
    if (!item.IsScalar() || !absl::SimpleAtoi(item.Scalar(), &seed)) {
      return place.Wrong(item, "seeds", absl::StrCat("\"", StudyValueText(item), "\" is not a whole number from 0."));
    }
    if (std::count(seeds.begin(), seeds.end(), seed) > 0) {
      return place.Wrong(item, "seeds", absl::StrCat(seed, " is given twice. Remove one."));
    }
    seeds.push_back(seed);
  }
  return seeds;
}

absl::StatusOr<std::vector<uint64_t>> SeedsOf(const StudyPlace& place, const YAML::Node& root, const StudyKeys& keys,
                                              const StudyGrid& grid) {
  const auto found = keys.find("seeds");
  if (found == keys.end() && !grid.seeds.has_value()) {
    return place.Wrong(root, "seeds", "is missing. Give a number such as 5, or a list such as [1, 2, 3, 4, 5].");
  }
  if (found != keys.end() && grid.seeds.has_value()) {
    return place.Wrong(*grid.seeds, "grid.seed", "seeds gives them, too. Remove one.");
  }
  return ReadSeeds(place, found != keys.end() ? found->second : *grid.seeds);
}

absl::Status CheckBase(const StudyPlace& place, const YAML::Node& root, const StudyKeys& keys) {
  const auto found = keys.find("base");
  if (found == keys.end()) return place.Wrong(root, "base", "is missing: the job that all jobs of the study begin with.");
  RETURN_IF_ERROR(place.CheckMap(found->second, "base", "model: {from: minilm}"));
  for (const auto& entry : found->second) {
    if (entry.first.Scalar() == "name") {
      return place.Wrong(entry.first, "base.name", "a study names its jobs itself. Remove it.");
    }
    if (entry.first.Scalar() == "seed") {
      return place.Wrong(entry.first, "base.seed", "seeds gives the seeds of all jobs. Remove it.");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCellCount(const StudyPlace& place, const YAML::Node& root, const StudyFile& study) {
  double cells = static_cast<double>(study.seeds.size());
  for (const StudyFactor& factor : study.factors) cells *= static_cast<double>(factor.levels.size());
  if (cells <= static_cast<double>(kMostStudyCells)) return absl::OkStatus();
  return place.Wrong(
      root, "grid",
      absl::StrCat("has ", WithThousands(static_cast<uint64_t>(std::min(cells, 1e15))), " cells, and a study at most ",
                   WithThousands(kMostStudyCells), ". Make several studies of it."));
}

// Checks that a cell's job measures what the report shows.
absl::Status CheckReported(const StudyPlace& place, const YAML::Node& base, const StudyFile& study, const StudyArm& arm,
                           const JobSpec& spec) {
  if (!spec.has_report()) {
    return place.Wrong(base, "base.report",
                       "is missing: a study compares the evaluations of this section. Add report: {dataset: NAME}.");
  }
  std::vector<std::string> measured = StandardMetrics();
  if (spec.has_evaluate()) {
    JobSpec filled = spec;
    FillDefaults(filled);
    measured.push_back(filled.evaluate().metric());
  }
  measured.insert(measured.end(), spec.report().metrics().begin(), spec.report().metrics().end());
  for (const std::string& metric : study.metrics) {
    if (std::find(measured.begin(), measured.end(), metric) != measured.end()) continue;
    return place.Wrong(base, "report.metrics",
                       absl::StrCat("jobs of the arm \"", arm.label, "\" do not measure ", metric,
                                    ". Name it in base.report.metrics, or leave it out. ", AllowedNames(metric, measured)));
  }
  return absl::OkStatus();
}

void NameCell(const StudyFile& study, StudyCell& cell) {
  cell.spec.clear_name();
  const std::string digest = Sha256Hex(absl::StrCat("muster study 1\n", study.name, "\n", DeterministicBytes(cell.spec)));
  std::vector<std::string> parts;
  const StudyArm& arm = study.arms[cell.arm];
  for (size_t f = 0; f < arm.levels.size(); ++f) parts.push_back(study.factors[f].levels[arm.levels[f]]);
  parts.push_back(absl::StrCat("s", cell.seed));
  const std::string end = absl::StrCat(".", digest.substr(0, kNameDigits));
  const std::string values = ValidJobName(absl::StrJoin(parts, "-"));
  cell.job_name = absl::StrCat(study.name, ".", values).substr(0, kLongestJobName - end.size()) + end;
  cell.request_id = absl::StrCat("study-", digest);
  cell.spec.set_name(cell.job_name);
}

// The job with its defaults, without its name. If these are equal for two cells, the cells are the same.
std::string MeaningOf(const JobSpec& spec) {
  JobSpec filled = spec;
  FillDefaults(filled);
  filled.clear_name();
  return DeterministicBytes(filled);
}

// `grid_node`: the place that errors about several arms name.
absl::Status AddCells(const StudyPlace& place, const YAML::Node& base, const YAML::Node& grid_node, const StudyGrid& grid,
                      StudyFile& study) {
  std::map<std::string, size_t> meanings;  // job without its name → arm
  for (size_t a = 0; a < study.arms.size(); ++a) {
    const StudyArm& arm = study.arms[a];
    std::vector<JobOverride> overrides = {{"name", YAML::Node(study.name)}};
    for (size_t f = 0; f < arm.levels.size(); ++f) {
      const std::vector<JobOverride>& settings = grid.settings[f][arm.levels[f]];
      overrides.insert(overrides.end(), settings.begin(), settings.end());
    }
    absl::StatusOr<JobSpec> spec = ReadJobNode(place.file(), base, overrides);
    if (!spec.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(spec.status().message(), " This is the arm \"", arm.label, "\"."));
    }
    RETURN_IF_ERROR(CheckReported(place, base, study, arm, *spec));
    const auto [same, is_new] = meanings.emplace(MeaningOf(*spec), a);
    if (!is_new) {
      return place.Wrong(grid_node, "grid",
                         absl::StrCat("the arms \"", study.arms[same->second].label, "\" and \"", arm.label,
                                      "\" are the same job. Remove one of the values, or exclude one arm."));
    }
    for (const uint64_t seed : study.seeds) {
      StudyCell& cell = study.cells.emplace_back();
      cell.arm = a;
      cell.seed = seed;
      cell.spec = *spec;
      cell.spec.set_seed(seed);
      NameCell(study, cell);
    }
  }
  return absl::OkStatus();
}

size_t DifferingFactors(const StudyArm& a, const StudyArm& b) {
  size_t count = 0;
  for (size_t f = 0; f < a.levels.size(); ++f) count += a.levels[f] != b.levels[f];
  return count;
}

std::vector<StudyPair> PairsOf(const StudyFile& study, bool all) {
  std::vector<StudyPair> pairs;
  for (size_t a = 0; a < study.arms.size(); ++a) {
    for (size_t b = a + 1; b < study.arms.size(); ++b) {
      if (all || DifferingFactors(study.arms[a], study.arms[b]) == 1) pairs.push_back({a, b});
    }
  }
  return pairs;
}

// Pairs each arm with the one that has the baseline's levels in the baseline's factors, and the arm's own levels in all
// others.
std::vector<StudyPair> PairsWithBaseline(const StudyFile& study, const StudyChoice& baseline) {
  std::vector<StudyPair> pairs;
  for (size_t b = 0; b < study.arms.size(); ++b) {
    if (IsChosen(baseline, study.arms[b].levels)) continue;
    for (size_t a = 0; a < study.arms.size(); ++a) {
      if (!IsChosen(baseline, study.arms[a].levels)) continue;
      bool alike = true;
      for (size_t f = 0; f < study.factors.size(); ++f) {
        const bool named = std::count(baseline[f].begin(), baseline[f].end(), false) > 0;
        alike = alike && (named || study.arms[a].levels[f] == study.arms[b].levels[f]);
      }
      if (alike) pairs.push_back({a, b});
    }
  }
  return pairs;
}

absl::Status ReadMetrics(const StudyPlace& place, const YAML::Node& node, StudyFile& study) {
  std::vector<YAML::Node> items;
  if (node.IsSequence()) {
    for (const YAML::Node& item : node) items.push_back(item);
  } else {
    items.push_back(node);
  }
  study.metrics.clear();
  for (const YAML::Node& item : items) {
    const std::string metric = item.IsScalar() ? item.Scalar() : "";
    if (const auto known = ParseMetricName(metric); !known.ok()) {
      return place.Wrong(item, "report.metrics", std::string(known.status().message()));
    }
    if (std::count(study.metrics.begin(), study.metrics.end(), metric) > 0) {
      return place.Wrong(item, "report.metrics", absl::StrCat(metric, " is given twice. Remove one."));
    }
    study.metrics.push_back(metric);
  }
  if (study.metrics.empty()) return place.Wrong(node, "report.metrics", "has no metric. Name one, such as ndcg@10.");
  return absl::OkStatus();
}

absl::Status ReadPairs(const StudyPlace& place, const StudyKeys& keys, StudyFile& study) {
  const auto compare = keys.find("compare"), baseline = keys.find("baseline");
  if (compare != keys.end() && baseline != keys.end()) {
    return place.Wrong(compare->second, "report.compare", "baseline says what is compared. Remove one of them.");
  }
  if (baseline != keys.end()) {
    ASSIGN_OR_RETURN(const StudyChoice choice, ReadStudyChoice(place, baseline->second, "report.baseline", study.factors));
    study.pairs = PairsWithBaseline(study, choice);
    return absl::OkStatus();
  }
  const std::string word = compare == keys.end() ? "one_factor" : StudyValueText(compare->second);
  if (word != "one_factor" && word != "all") {
    return place.Wrong(compare->second, "report.compare",
                       absl::StrCat("unknown value \"", word, "\". ", AllowedNames(word, {"one_factor", "all"})));
  }
  study.pairs = PairsOf(study, word == "all");
  return absl::OkStatus();
}

absl::Status ReadReport(const StudyPlace& place, const StudyKeys& all, StudyFile& study) {
  StudyKeys keys;
  if (const auto found = all.find("report"); found != all.end()) {
    ASSIGN_OR_RETURN(keys, ReadKeys(place, found->second, "report", {"metrics", "compare", "baseline", "difference"}));
  }
  study.metrics = {"ndcg@10"};
  if (const auto metrics = keys.find("metrics"); metrics != keys.end()) {
    RETURN_IF_ERROR(ReadMetrics(place, metrics->second, study));
  }
  if (const auto difference = keys.find("difference"); difference != keys.end()) {
    const std::string text = StudyValueText(difference->second);
    if (!absl::SimpleAtod(text, &study.difference) || !(study.difference > 0 && study.difference <= 1)) {
      return place.Wrong(difference->second, "report.difference",
                         absl::StrCat("\"", text, "\" is not a number above 0 and at most 1."));
    }
  }
  return ReadPairs(place, keys, study);
}

absl::StatusOr<std::vector<StudyChoice>> ReadExcluded(const StudyPlace& place, const StudyKeys& keys, const StudyFile& study) {
  std::vector<StudyChoice> excluded;
  const auto found = keys.find("exclude");
  if (found == keys.end()) return excluded;
  if (!found->second.IsSequence()) {
    return place.Wrong(found->second, "exclude", "must be a list, such as [{loss.objective: lsepair, model.from: minilm}].");
  }
  for (const YAML::Node& item : found->second) {
    ASSIGN_OR_RETURN(StudyChoice choice, ReadStudyChoice(place, item, "exclude", study.factors));
    excluded.push_back(std::move(choice));
  }
  return excluded;
}

absl::StatusOr<StudyFile> ReadRoot(const StudyPlace& place, const YAML::Node& root) {
  ASSIGN_OR_RETURN(const StudyKeys keys, ReadKeys(place, root, "", {"study", "base", "grid", "seeds", "exclude", "report"}));
  StudyFile study;
  ASSIGN_OR_RETURN(study.name, ReadStudyName(place, root, keys));
  RETURN_IF_ERROR(CheckBase(place, root, keys));
  StudyGrid grid;
  if (const auto found = keys.find("grid"); found != keys.end()) {
    ASSIGN_OR_RETURN(grid, ReadStudyGrid(place, found->second));
  }
  study.factors = grid.factors;
  ASSIGN_OR_RETURN(study.seeds, SeedsOf(place, root, keys, grid));
  RETURN_IF_ERROR(CheckCellCount(place, root, study));
  ASSIGN_OR_RETURN(const std::vector<StudyChoice> excluded, ReadExcluded(place, keys, study));
  study.arms = ArmsOf(study.factors, excluded);
  if (study.arms.empty()) return place.Wrong(keys.at("exclude"), "exclude", "excludes all arms. Remove a line.");
  RETURN_IF_ERROR(ReadReport(place, keys, study));
  RETURN_IF_ERROR(AddCells(place, keys.at("base"), keys.contains("grid") ? keys.at("grid") : root, grid, study));
  return study;
}

}  // namespace

absl::StatusOr<StudyFile> ParseStudyFile(const std::string& file, const std::string& text) {
  try {
    if (CountYamlDocuments(text) != 1) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": must hold one study. See docs/reference/study-file.md."));
    }
    return ReadRoot(StudyPlace(file), YAML::Load(text));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(file, ":", error.mark.line + 1, ": is not valid YAML: ", error.msg, "."));
  }
}

absl::StatusOr<StudyFile> ReadStudyFile(const std::filesystem::path& file) {
  const absl::StatusOr<std::string> text = ReadFile(file);
  // A missing file is a wrong argument, not a refusal of the cluster.
  if (!text.ok()) return absl::InvalidArgumentError(text.status().message());
  return ParseStudyFile(file.string(), *text);
}

std::string StudyRequestId(const StudyCell& cell, size_t ended) {
  return ended == 0 ? cell.request_id : absl::StrCat(cell.request_id, "-", ended + 1);
}

}  // namespace muster
