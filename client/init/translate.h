// Translates the arguments of another tool to a job file that trains in the same way, with a comment for every
// argument.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/init/arguments.h"

namespace muster {

struct TranslateOptions {
  std::string source;      // where the arguments come from, for the first comment
  std::string tool;  // a profile's name; empty: recognized from the arguments
  uint32_t processes = 0;  // training processes of the tool; 0: from the arguments, else 1
};

struct Translation {
  std::string tool;
  std::string job_file;
  size_t translated = 0, harmless = 0, not_translated = 0;  // they add up to the number of arguments
};

// INVALID_ARGUMENT: the tool is not known. An argument with a value that Muster does not support is not translated, and
// the job file says why.
absl::StatusOr<Translation> TranslateArguments(const ToolArguments& arguments, const TranslateOptions& options);

}  // namespace muster
