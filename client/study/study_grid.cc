#include "client/study/study_grid.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/nearest_name.h"
#include "common/status.h"

namespace muster {
namespace {

std::string LastPart(const std::string& key) {
  const size_t dot = key.rfind('.');
  return dot == std::string::npos ? key : key.substr(dot + 1);
}

// Whether setting one of the fields also sets the other.
bool Overlap(const std::string& a, const std::string& b) {
  return a == b || absl::StartsWith(a, b + ".") || absl::StartsWith(b, a + ".");
}

absl::Status CheckField(const StudyPlace& place, const YAML::Node& node, const std::string& field) {
  if (field == "name") return place.Wrong(node, "grid.name", "a study names its jobs itself. Remove it.");
  if (field == "seed") {
    return place.Wrong(node, "grid.seed", "seeds are not arms: results are averaged over them. Write seed: [1, 2, 3].");
  }
  return absl::OkStatus();
}

// Field → the key of the factor that sets it.
using Setters = std::map<std::string, std::string>;

absl::Status TakeField(const StudyPlace& place, const YAML::Node& node, const std::string& field, const std::string& factor,
                       Setters& setters) {
  RETURN_IF_ERROR(CheckField(place, node, field));
  for (const auto& [other, setter] : setters) {
    if (setter == factor || !Overlap(field, other)) continue;
    return place.Wrong(node, absl::StrCat("grid.", factor),
                       absl::StrCat("sets ", field, ", and grid.", setter, " sets ", other, ". Join them into one named set."));
  }
  setters.emplace(field, factor);
  return absl::OkStatus();
}

absl::Status AddLevel(const StudyPlace& place, const YAML::Node& node, const std::string& label,
                      std::vector<JobOverride> settings, StudyGrid& grid) {
  StudyFactor& factor = grid.factors.back();
  if (std::count(factor.levels.begin(), factor.levels.end(), label) > 0) {
    return place.Wrong(node, absl::StrCat("grid.", factor.key), absl::StrCat("\"", label, "\" is given twice. Remove one."));
  }
  factor.levels.push_back(label);
  grid.settings.back().push_back(std::move(settings));
  return absl::OkStatus();
}

// labels: {human: {data.positives.sources: [human]}, both: {}}
absl::Status ReadNamedLevels(const StudyPlace& place, const YAML::Node& node, StudyGrid& grid, Setters& setters) {
  const std::string key = grid.factors.back().key;
  const std::string path = absl::StrCat("grid.", key);
  RETURN_IF_ERROR(place.CheckMap(node, path, "name: {field: value}"));
  for (const auto& level : node) {
    const std::string label = level.first.Scalar();
    std::vector<JobOverride> settings;
    RETURN_IF_ERROR(place.CheckMap(level.second, absl::StrCat(path, ".", label), "loss.objective: lsepair"));
    for (const auto& setting : level.second) {
      RETURN_IF_ERROR(TakeField(place, setting.first, setting.first.Scalar(), key, setters));
      settings.push_back({setting.first.Scalar(), setting.second});
    }
    RETURN_IF_ERROR(AddLevel(place, level.first, label, std::move(settings), grid));
  }
  return absl::OkStatus();
}

absl::Status ReadFactor(const StudyPlace& place, const YAML::Node& key, const YAML::Node& values, StudyGrid& grid,
                        Setters& setters) {
  const std::string name = key.Scalar();
  if (name == "seed" && values.IsSequence()) {
    grid.seeds = values;
    return absl::OkStatus();
  }
  grid.factors.push_back({.key = name, .name = LastPart(name), .levels = {}});
  grid.settings.emplace_back();
  if (values.IsMap()) {
    RETURN_IF_ERROR(ReadNamedLevels(place, values, grid, setters));
  } else if (values.IsSequence()) {
    RETURN_IF_ERROR(TakeField(place, key, name, name, setters));
    for (const YAML::Node& value : values) {
      RETURN_IF_ERROR(AddLevel(place, value, StudyValueText(value), {{name, value}}, grid));
    }
  } else {
    return place.Wrong(key, absl::StrCat("grid.", name),
                       "must be a list of values, such as [1, 4], or named sets of fields, such as {name: {field: value}}.");
  }
  if (!grid.factors.back().levels.empty()) return absl::OkStatus();
  return place.Wrong(key, absl::StrCat("grid.", name), "has no value. Give one, or remove the key.");
}

}  // namespace

absl::Status StudyPlace::Wrong(const YAML::Node& node, const std::string& key, const std::string& what) const {
  const std::string line = node.Mark().line >= 0 ? absl::StrCat(":", node.Mark().line + 1) : "";
  return absl::InvalidArgumentError(absl::StrCat(file_, line, ": ", key.empty() ? "" : absl::StrCat(key, ": "), what));
}

absl::Status StudyPlace::CheckMap(const YAML::Node& node, const std::string& key, const std::string& example) const {
  if (!node.IsMap()) return Wrong(node, key, absl::StrCat("must have keys, such as ", example, "."));
  std::set<std::string> seen;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) return Wrong(entry.first, key, "a key must be a word.");
    if (!seen.insert(entry.first.Scalar()).second) {
      return Wrong(entry.first, absl::StrCat(key, key.empty() ? "" : ".", entry.first.Scalar()), "is given twice. Remove one.");
    }
  }
  return absl::OkStatus();
}

std::string StudyValueText(const YAML::Node& node) {
  std::vector<std::string> parts;
  if (node.IsScalar()) return node.Scalar();
  if (node.IsSequence()) {
    for (const YAML::Node& item : node) parts.push_back(StudyValueText(item));
    return absl::StrCat("[", absl::StrJoin(parts, ", "), "]");
  }
  if (!node.IsMap()) return "null";
  for (const auto& entry : node) parts.push_back(absl::StrCat(StudyValueText(entry.first), ": ", StudyValueText(entry.second)));
  return absl::StrCat("{", absl::StrJoin(parts, ", "), "}");
}

absl::StatusOr<StudyGrid> ReadStudyGrid(const StudyPlace& place, const YAML::Node& node) {
  StudyGrid grid;
  Setters setters;
  RETURN_IF_ERROR(place.CheckMap(node, "grid", "loss.objective: [jointlh, lsepair]"));
  for (const auto& entry : node) RETURN_IF_ERROR(ReadFactor(place, entry.first, entry.second, grid, setters));
  std::map<std::string, int> names;
  for (const StudyFactor& factor : grid.factors) ++names[factor.name];
  for (StudyFactor& factor : grid.factors) {
    if (names[factor.name] > 1) factor.name = factor.key;
  }
  return grid;
}

absl::StatusOr<StudyChoice> ReadStudyChoice(const StudyPlace& place, const YAML::Node& node, const std::string& key,
                                            const std::vector<StudyFactor>& factors) {
  RETURN_IF_ERROR(place.CheckMap(node, key, "loss.objective: lsepair"));
  std::vector<std::string> keys;
  StudyChoice choice;
  for (const StudyFactor& factor : factors) {
    keys.push_back(factor.key);
    choice.emplace_back(factor.levels.size(), true);
  }
  for (const auto& entry : node) {
    const std::string name = entry.first.Scalar();
    const auto found = std::find(keys.begin(), keys.end(), name);
    if (found == keys.end()) {
      return place.Wrong(entry.first, absl::StrCat(key, ".", name),
                         absl::StrCat("is not a key of the grid. ", AllowedNames(name, keys)));
    }
    const size_t f = static_cast<size_t>(found - keys.begin());
    const std::vector<std::string>& levels = factors[f].levels;
    choice[f].assign(levels.size(), false);
    // A list names several levels, unless its text is itself a level.
    std::vector<YAML::Node> values;
    const bool is_level = std::count(levels.begin(), levels.end(), StudyValueText(entry.second)) > 0;
    if (entry.second.IsSequence() && !is_level) {
      for (const YAML::Node& value : entry.second) values.push_back(value);
    } else {
      values.push_back(entry.second);
    }
    for (const YAML::Node& value : values) {
      const std::string text = StudyValueText(value);
      const auto level = std::find(levels.begin(), levels.end(), text);
      if (level == levels.end()) {
        return place.Wrong(value, absl::StrCat(key, ".", name),
                           absl::StrCat("\"", text, "\" is not a value of the grid. ", AllowedNames(text, levels)));
      }
      choice[f][static_cast<size_t>(level - levels.begin())] = true;
    }
  }
  return choice;
}

bool IsChosen(const StudyChoice& choice, const std::vector<size_t>& levels) {
  for (size_t f = 0; f < levels.size(); ++f) {
    if (!choice[f][levels[f]]) return false;
  }
  return true;
}

std::vector<StudyArm> ArmsOf(const std::vector<StudyFactor>& factors, const std::vector<StudyChoice>& excluded) {
  std::vector<StudyArm> arms;
  std::vector<size_t> levels(factors.size(), 0);
  while (true) {
    const bool is_excluded =
        std::any_of(excluded.begin(), excluded.end(), [&](const StudyChoice& choice) { return IsChosen(choice, levels); });
    if (!is_excluded) {
      std::vector<std::string> parts;
      for (size_t f = 0; f < factors.size(); ++f) {
        parts.push_back(absl::StrCat(factors[f].name, "=", factors[f].levels[levels[f]]));
      }
      arms.push_back({parts.empty() ? "base" : absl::StrJoin(parts, ", "), levels});
    }
    size_t f = factors.size();
    while (f > 0 && ++levels[f - 1] == factors[f - 1].levels.size()) levels[--f] = 0;
    if (f == 0) return arms;
  }
}

}  // namespace muster
