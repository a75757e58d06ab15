#include "common/flags/parse_flags.h"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/exit_code.h"
#include "common/flags/explain.h"
#include "common/nearest_name.h"

namespace muster {
namespace {

bool IsFlag(const std::string& word) { return word.size() > 1 && word[0] == '-' && !absl::ascii_isdigit(word[1]); }

// Walks over the words like CLI11, and stops at the first one that no command accepts. CLI11 itself would only report it as
// unexpected, and reads a flag as the value of the previous one.
class Walk {
 public:
  Walk(CLI::App& app, const CommandAdvice& advice) : app_(&app), advice_(advice) {}

  absl::Status Run(std::vector<std::string>& words) {
    bool flags_end = false, asks_for_help = false;
    size_t positionals = 0;
    for (size_t i = 0; i < words.size(); ++i) {
      const std::string word = words[i];
      if (!flags_end && word == "--") {
        flags_end = true;
      } else if (!flags_end && IsFlag(word)) {
        CLI::Option* option = Find(word);
        if (option == nullptr) return Wrong(UnknownFlag(word));
        asks_for_help = asks_for_help || LabelOf(*option) == "--help" || LabelOf(*option) == "--version";
        if (const absl::Status status = SkipValues(*option, words, i); !status.ok()) return status;
      } else if (!CommandsOf(*app_).empty()) {
        if (word == "help") {
          words.erase(words.begin() + static_cast<ptrdiff_t>(i--));
          words.push_back("--help");
          continue;
        }
        const std::vector<CLI::App*> commands = CommandsOf(*app_);
        const auto command = std::find_if(commands.begin(), commands.end(),
                                          [&](const CLI::App* known) { return known->get_name() == word; });
        if (command == commands.end()) {
          CLI::App* run = DefaultFor(word, commands);
          if (run == nullptr) return Wrong(UnknownCommand(word));
          words.insert(words.begin() + static_cast<ptrdiff_t>(i), run->get_name());
          app_ = run;
          continue;
        }
        app_ = *command;
      } else if (++positionals > Places()) {
        return Wrong(absl::StrCat("unexpected argument \"", word, "\". ", Usage()));
      }
    }
    if (asks_for_help || CommandsOf(*app_).empty() || app_->get_require_subcommand_min() == 0) return absl::OkStatus();
    return Wrong(absl::StrCat("no command is given. ", AllowedNames("", CommandNames())));
  }

  CLI::App& command() { return *app_; }
  const GivenValues& given() const { return given_; }
  absl::Status Wrong(const std::string& text) const {
    return absl::InvalidArgumentError(absl::StrCat(CommandPath(*app_), ": ", text));
  }

 private:
  std::vector<std::string> CommandNames() const {
    std::vector<std::string> names;
    for (const CLI::App* command : CommandsOf(*app_)) names.push_back(command->get_name());
    return names;
  }

  // `study STUDY.yaml` is `study run STUDY.yaml`: a file's name where a command is expected is for the command `run`.
  static CLI::App* DefaultFor(const std::string& word, const std::vector<CLI::App*>& commands) {
    if (word.find_first_of("./") == std::string::npos) return nullptr;
    for (CLI::App* command : commands) {
      if (command->get_name() == "run") return command;
    }
    return nullptr;
  }

  CLI::Option* Find(const std::string& word) const {
    const std::string name = absl::StartsWith(word, "--") ? word.substr(0, word.find('=')) : word.substr(0, 2);
    for (CLI::Option* option : OptionsOf(*app_)) {
      if (option->check_name(name)) return option;
    }
    return nullptr;
  }

  std::string UnknownFlag(const std::string& word) const {
    const std::string name = word.substr(0, word.find('='));
    return absl::StrCat("unknown flag \"", name, "\". ", AllowedNames(name, NamesOf(OptionsOf(*app_))));
  }

  std::string UnknownCommand(const std::string& word) const {
    const auto found = advice_.find(absl::StrCat(app_->get_parent() == nullptr ? "" : app_->get_name() + " ", word));
    if (found != advice_.end()) {
      return absl::StrCat("unknown command \"", word, "\". Use ", found->second, ". ", AllowedNames("", CommandNames()));
    }
    return absl::StrCat("unknown command \"", word, "\". ", AllowedNames(word, CommandNames()));
  }

  absl::Status SkipValues(CLI::Option& option, const std::vector<std::string>& words, size_t& i) {
    if (option.get_items_expected_max() == 0) return absl::OkStatus();
    const std::string& word = words[i];
    const bool attached = absl::StartsWith(word, "--") ? absl::StrContains(word, '=') : word.size() > 2;
    int taken = attached ? 1 : 0;
    std::vector<std::string>& values = given_[&option];
    if (attached) values.push_back(word.substr(absl::StartsWith(word, "--") ? word.find('=') + 1 : 2));
    for (; taken < option.get_items_expected_min(); ++taken, ++i) {
      if (i + 1 >= words.size() || (IsFlag(words[i + 1]) && Find(words[i + 1]) != nullptr)) {
        const std::string type = TypeOf(option);
        return Wrong(absl::StrCat(LabelOf(option), " needs a value", type.empty() ? "" : absl::StrCat(" (", type, ")"),
                                  ": ", option.get_description(), "."));
      }
      values.push_back(words[i + 1]);
    }
    if (!option.get_allow_extra_args()) return absl::OkStatus();
    for (; taken < option.get_items_expected_max() && i + 1 < words.size() && !IsFlag(words[i + 1]); ++taken) {
      values.push_back(words[++i]);
    }
    return absl::OkStatus();
  }

  // Positional words of the command.
  size_t Places() const {
    size_t places = 0;
    for (const CLI::Option* option : OptionsOf(*app_)) {
      if (option->get_positional()) places += static_cast<size_t>(option->get_items_expected_max());
    }
    return places;
  }

  std::string Usage() const {
    std::string usage = CommandPath(*app_);
    for (const CLI::Option* option : OptionsOf(*app_)) {
      if (option->get_positional()) absl::StrAppend(&usage, " ", LabelOf(*option));
    }
    return absl::StrCat("Usage: ", usage, " [FLAGS]. ", AllowedNames("", NamesOf(OptionsOf(*app_))));
  }

  CLI::App* app_;
  const CommandAdvice& advice_;
  GivenValues given_;
};

CLI::App* MakeGroup(CLI::App& command, const std::string& name, const std::vector<CLI::Option*>& options) {
  auto* group = command.add_option_group(name);
  group->set_help_flag();  // the command's own is enough
  for (CLI::Option* option : options) group->add_option(option);
  return group;
}

}  // namespace

absl::Status ParseWords(CLI::App& app, std::vector<std::string> words, const CommandAdvice& advice) {
  Walk walk(app, advice);
  if (const absl::Status status = walk.Run(words); !status.ok()) return status;
  std::reverse(words.begin(), words.end());  // CLI11 expects them in reverse order
  try {
    app.parse(words);
  } catch (const CLI::Success&) {
    throw;
  } catch (const CLI::ParseError& error) {
    return walk.Wrong(Explain(error, walk.command(), walk.given()));
  }
  return absl::OkStatus();
}

std::optional<int> ParseFlags(CLI::App& app, int argc, const char* const* argv, const CommandAdvice& advice) {
  try {
    const absl::Status status = ParseWords(app, {argv + std::min(argc, 1), argv + argc}, advice);
    if (status.ok()) return std::nullopt;
    std::cerr << status.message() << "\n";
    return kExitUsage;
  } catch (const CLI::ParseError& help) {
    app.exit(help);  // prints it
    return kExitSucceeded;
  }
}

void ExactlyOne(CLI::App& command, const std::string& name, const std::vector<CLI::Option*>& options) {
  MakeGroup(command, name, options)->require_option(1);
}

void AtLeastOne(CLI::App& command, const std::string& name, const std::vector<CLI::Option*>& options) {
  MakeGroup(command, name, options)->require_option(1, 0);
}

void AtMostOne(const std::vector<CLI::Option*>& options) {
  for (size_t i = 0; i < options.size(); ++i) {
    for (size_t j = i + 1; j < options.size(); ++j) options[i]->excludes(options[j]);
  }
}

}  // namespace muster
