// The only place where a command line is parsed. CLI11 parses it; all messages except --help are Muster's own.
//
//   muster submit: unknown flag "--wiat". Allowed: --set, --wait, …. Did you mean "--wait"?
//   muster jobs: --output: unknown value "xml". Allowed: table, json, yaml.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace muster {

// Maps a wrong command to its replacement, for words that are not close to any command's spelling: {"status", "muster
// jobs, or muster get JOB"}.
using CommandAdvice = std::map<std::string, std::string>;

// For main. Prints help, the version, or an error in one line, and returns the exit code. Returns nothing if the
// program should continue. "help COMMAND" is "COMMAND --help".
std::optional<int> ParseFlags(CLI::App& app, int argc, const char* const* argv, const CommandAdvice& advice = {});

// Like ParseFlags, but prints nothing: INVALID_ARGUMENT holds the text. Throws CLI::Success for --help and --version.
absl::Status ParseWords(CLI::App& app, std::vector<std::string> words, const CommandAdvice& advice = {});

// Exactly one of `options` must be given. `name` appears in --help.
void ExactlyOne(CLI::App& command, const std::string& name, const std::vector<CLI::Option*>& options);

// One of them must be given, and several may be.
void AtLeastOne(CLI::App& command, const std::string& name, const std::vector<CLI::Option*>& options);

// At most one of them may be given.
void AtMostOne(const std::vector<CLI::Option*>& options);

// `option` has no effect without `other`, so it is refused without it.
inline void OnlyWith(CLI::Option* option, CLI::Option* other) { option->needs(other); }

// A flag whose value is one of a few words, each naming a value of an enumeration. Keeps the order of `choices`.
template <typename E>
CLI::Option* AddChoice(CLI::App& app, const std::string& flag, E& target,
                       const std::vector<std::pair<std::string, E>>& choices, const std::string& help) {
  std::vector<std::string> words;
  for (const auto& [word, value] : choices) words.push_back(word);
  return app
      .add_option_function<std::string>(
          flag,
          [&target, choices](const std::string& given) {
            for (const auto& [word, value] : choices) {
              if (word == given) target = value;
            }
          },
          help)
      ->check(CLI::IsMember(words));
}

}  // namespace muster
