// Builds a job file: fields with comments, in the order of docs/reference/job-spec.md.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace muster {

class JobDraft {
 public:
  // Sets `field` ("model.max_length.query") to a value in YAML. INVALID_ARGUMENT says why the field cannot have it.
  absl::Status Set(const std::string& field, const std::string& value, const std::string& comment);
  void Remove(const std::string& field) { fields_.erase(field); }
  bool Has(const std::string& field) const { return fields_.contains(field); }
  std::string ValueOf(const std::string& field) const;

  // Comment lines before the first field and after the last one, without "#".
  void Before(const std::string& line) { before_.push_back(line); }
  void After(const std::string& line) { after_.push_back(line); }

  std::string Text() const;

 private:
  struct Entry {
    std::string value, comment;
  };
  std::map<std::string, Entry> fields_;
  std::vector<std::string> before_, after_;
};

// Any text as a scalar in YAML, quoted where it must be.
std::string YamlScalar(const std::string& text);

}  // namespace muster
