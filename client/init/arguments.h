// The arguments of another tool's training: a YAML or JSON file of them, or the command line that starts it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

struct Argument {
  std::string key;                  // "learning_rate"; of a nested map "optimizer.learning_rate"
  std::vector<std::string> values;  // one for a scalar; empty for null
  int line = 0;                     // in the file

  // The values in the spelling of the tool's users: "a", "[a, b]", "null".
  std::string Text() const;
};

struct ToolArguments {
  std::string program;  // words of a command line before its arguments: "torchrun -m tevatron.retriever.driver.train"
  std::vector<Argument> arguments;
};

// A map in YAML or JSON; otherwise a command line, with environment variables before it (`NPROC_PER_NODE=2 swift sft …`),
// continued lines and comments. INVALID_ARGUMENT if the text is neither, with its line.
absl::StatusOr<ToolArguments> ReadToolArguments(const std::string& name, const std::string& text);

}  // namespace muster
