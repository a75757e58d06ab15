// The parts of a study file that span the grid. Used by study_file.cc.
#pragma once

#include <yaml-cpp/node/node.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/job_node.h"
#include "client/study/study_file.h"

namespace muster {

// Makes errors with file and line.
class StudyPlace {
 public:
  explicit StudyPlace(std::string file) : file_(std::move(file)) {}
  const std::string& file() const { return file_; }
  // "study.yaml:7: grid: what"; `key` may be empty.
  absl::Status Wrong(const YAML::Node& node, const std::string& key, const std::string& what) const;
  // OK if `node` is a map whose keys are words, each given once.
  absl::Status CheckMap(const YAML::Node& node, const std::string& key, const std::string& example) const;

 private:
  std::string file_;
};

// A value as one line of text: lsepair, [human, llm], {from: minilm}.
std::string StudyValueText(const YAML::Node& node);

// What the levels of a factor set: [level][field].
using StudySettings = std::vector<std::vector<JobOverride>>;

struct StudyGrid {
  std::vector<StudyFactor> factors;
  std::vector<StudySettings> settings;  // one per factor
  std::optional<YAML::Node> seeds;      // grid.seed
};

// `node`: the value of `grid`.
absl::StatusOr<StudyGrid> ReadStudyGrid(const StudyPlace& place, const YAML::Node& node);

// Which levels are chosen: [factor][level]. If a factor is not named, all its levels are chosen.
using StudyChoice = std::vector<std::vector<bool>>;
absl::StatusOr<StudyChoice> ReadStudyChoice(const StudyPlace& place, const YAML::Node& node, const std::string& key,
                                            const std::vector<StudyFactor>& factors);
bool IsChosen(const StudyChoice& choice, const std::vector<size_t>& levels);

// All combinations that no choice of `excluded` contains.
std::vector<StudyArm> ArmsOf(const std::vector<StudyFactor>& factors, const std::vector<StudyChoice>& excluded);

}  // namespace muster
