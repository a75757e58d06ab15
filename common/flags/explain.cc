#include "common/flags/explain.h"

#include <algorithm>
#include <regex>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/flags/parse_flags.h"
#include "common/nearest_name.h"

namespace muster {
namespace {

std::vector<CLI::App*> GroupsOf(const CLI::App& app) {
  std::vector<CLI::App*> groups;
  for (CLI::App* sub : const_cast<CLI::App&>(app).get_subcommands([](CLI::App*) { return true; })) {
    if (sub->get_name().empty() || sub->get_group().empty()) groups.push_back(sub);
  }
  return groups;
}

void AppendOptions(CLI::App& app, std::vector<CLI::Option*>& options) {
  for (CLI::Option* option : app.get_options()) options.push_back(option);
  for (CLI::App* group : GroupsOf(app)) AppendOptions(*group, options);
}

// The descriptions of the option's validators, in order, with the result of each for `value`.
struct Verdict {
  std::string description, text;
};
std::vector<Verdict> VerdictsOf(CLI::Option& option, const std::string& value) {
  std::vector<Verdict> verdicts;
  for (int i = 0;; ++i) {
    const CLI::Validator* validator = nullptr;
    try {
      validator = option.get_validator(i);
    } catch (const CLI::OptionNotFound&) {
      return verdicts;
    }
    std::string text;
    try {
      std::string copy = value;
      text = (*validator)(copy);
    } catch (const CLI::ValidationError& error) {  // a transformation throws the text that a check returns
      text = error.what();
    }
    if (!text.empty()) verdicts.push_back({validator->get_description(), text});
  }
}

// The values of a closed choice, from its validator's description; empty for any other validator.
std::vector<std::string> ChoicesIn(const std::string& description) {
  if (!absl::StartsWith(description, "{") || !absl::EndsWith(description, "}")) return {};
  return absl::StrSplit(description.substr(1, description.size() - 2), ',');
}

// What an option with this validator accepts; `text`: the validator's own description, for unknown kinds.
std::string Expectation(const Verdict& verdict, const std::string& value) {
  static const std::regex kRange(R"((INT|UINT|FLOAT) in \[(\S+) - (\S+)\])");
  const std::string& kind = verdict.description;
  std::smatch match;
  if (const std::vector<std::string> names = ChoicesIn(kind); !names.empty()) {
    return absl::StrCat("unknown value \"", value, "\". ", AllowedNames(value, names));
  }
  if (std::regex_match(kind, match, kRange)) {
    return absl::StrCat("\"", value, "\" is not a ", match[1] == "FLOAT" ? "" : "whole ", "number from ", match[2].str(),
                        " to ", match[3].str(), ".");
  }
  if (kind == "POSITIVE") return absl::StrCat("\"", value, "\" is not a number above 0.");
  if (kind == "NONNEGATIVE") return absl::StrCat("\"", value, "\" is not a number of 0 or more.");
  if (absl::StartsWith(kind, "SIZE")) {
    return absl::StrCat("\"", value, "\" is not a size, such as 4096, 512MB or 20GB.");
  }
  return verdict.text;
}

// Only CLI11's conversion knows an option's type; the value's form shows why it did not fit.
std::string Unconvertible(const std::string& value) {
  double number = 0;
  if (!absl::SimpleAtod(value, &number)) return absl::StrCat("\"", value, "\" is not a number.");
  if (absl::StrContains(value, '.') || absl::StrContains(value, 'e')) {
    return absl::StrCat("\"", value, "\" is not a whole number.");
  }
  return absl::StrCat("\"", value, "\" is out of range: it is ", number < 0 ? "negative" : "too large", ".");
}

std::string Missing(const CLI::Option& option) {
  return absl::StrCat(LabelOf(option), " is missing: ", option.get_description(), ".");
}

std::string WrongRequirement(CLI::App& command, const std::vector<CLI::Option*>& options) {
  for (const CLI::Option* option : options) {
    if (option->get_required() && option->count() == 0) return Missing(*option);
  }
  for (const CLI::Option* option : options) {
    if (option->count() == 0) continue;
    for (const CLI::Option* other : option->get_needs()) {
      if (other->count() == 0) {
        return absl::StrCat(LabelOf(*option), " works only with ", LabelOf(*other), ". Add ", LabelOf(*other),
                            ", or leave out ", LabelOf(*option), ".");
      }
    }
    for (const CLI::Option* other : option->get_excludes()) {
      if (other->count() > 0) {
        return absl::StrCat(LabelOf(*option), " and ", LabelOf(*other), " exclude each other. Give one of them.");
      }
    }
  }
  for (const CLI::App* group : GroupsOf(command)) {
    std::vector<std::string> names;
    size_t used = 0;
    for (const CLI::Option* option : group->get_options()) {
      names.push_back(LabelOf(*option));
      used += option->count() > 0;
    }
    if (used < group->get_require_option_min()) return absl::StrCat("give ", absl::StrJoin(names, " or "), ".");
    if (group->get_require_option_max() > 0 && used > group->get_require_option_max()) {
      return absl::StrCat(absl::StrJoin(names, " and "), " exclude each other. Give one of them.");
    }
  }
  return "";
}

std::vector<std::string> ValuesOf(const CLI::Option& option, const GivenValues& given) {
  const auto found = given.find(&option);
  return found != given.end() ? found->second : option.results();
}

std::string WrongValues(const std::vector<CLI::Option*>& options, const GivenValues& given) {
  for (CLI::Option* option : options) {
    const std::string label = LabelOf(*option);
    const bool is_switch = option->get_items_expected_max() == 0;
    if (is_switch && option->count() > 0) {
      for (const std::string& value : option->results()) {
        if (value != "true" && value != "false") return absl::StrCat(label, " takes no value, found \"", value, "\".");
      }
    }
    if (option->results().size() > static_cast<size_t>(std::max(option->get_items_expected_max(), 1))) {
      return absl::StrCat(label, " is given twice. Give it once.");
    }
    for (const std::string& value : ValuesOf(*option, given)) {
      if (const std::string text = WrongValue(*option, value); !text.empty()) return absl::StrCat(label, ": ", text);
    }
  }
  return "";
}

}  // namespace

std::string CommandPath(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : absl::StrCat(CommandPath(*app.get_parent()), " ", app.get_name());
}

std::vector<CLI::App*> CommandsOf(const CLI::App& app) {
  const std::vector<CLI::App*> groups = GroupsOf(app);
  std::vector<CLI::App*> commands;
  for (CLI::App* sub : const_cast<CLI::App&>(app).get_subcommands([](CLI::App*) { return true; })) {
    if (std::find(groups.begin(), groups.end(), sub) == groups.end()) commands.push_back(sub);
  }
  return commands;
}

std::vector<CLI::Option*> OptionsOf(CLI::App& command) {
  std::vector<CLI::Option*> options;
  for (CLI::App* app = &command; app != nullptr; app = app->get_fallthrough() ? app->get_parent() : nullptr) {
    AppendOptions(*app, options);
  }
  return options;
}

std::vector<std::string> NamesOf(const std::vector<CLI::Option*>& options) {
  std::vector<std::string> names;
  for (const CLI::Option* option : options) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  // Every command has its own --help; mention only the one of the whole program.
  const auto is_help = [](const std::string& name) { return name == "--help" || name == "-h"; };
  std::erase_if(names, is_help);
  names.push_back("--help");
  return names;
}

std::string LabelOf(const CLI::Option& option) {
  if (!option.get_lnames().empty()) return "--" + option.get_lnames().front();
  if (!option.get_snames().empty()) return "-" + option.get_snames().front();
  return option.get_type_name();
}

std::string TypeOf(CLI::Option& option) {
  std::string type = option.get_type_name();
  std::string added;
  for (int i = 0;; ++i) {
    try {
      const std::string description = option.get_validator(i)->get_description();
      if (!description.empty()) absl::StrAppend(&added, ":", description);
    } catch (const CLI::OptionNotFound&) {
      break;
    }
  }
  return std::string(absl::StripSuffix(type, added));
}

std::vector<std::string> ChoicesOf(CLI::Option& option) {
  for (const Verdict& verdict : VerdictsOf(option, "no/such value")) {
    if (std::vector<std::string> names = ChoicesIn(verdict.description); !names.empty()) return names;
  }
  return {};
}

std::string WrongValue(CLI::Option& option, const std::string& value) {
  const std::vector<Verdict> verdicts = VerdictsOf(option, value);
  return verdicts.empty() ? "" : Expectation(verdicts.front(), value);
}

std::string Explain(const CLI::ParseError& error, CLI::App& command, const GivenValues& given) {
  const std::vector<CLI::Option*> options = OptionsOf(command);
  if (const std::string text = WrongValues(options, given); !text.empty()) return text;
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    for (const CLI::Option* option : options) {
      if (option->count() == 0 || !absl::StrContains(error.what(), absl::StrCat(option->get_name(), " = "))) continue;
      for (const std::string& value : ValuesOf(*option, given)) {
        int64_t whole = 0;
        const bool fits = option->results().size() > 1 && absl::SimpleAtoi(value, &whole);
        if (!fits) return absl::StrCat(LabelOf(*option), ": ", Unconvertible(value));
      }
    }
  }
  if (dynamic_cast<const CLI::ExcludesError*>(&error) != nullptr) {  // CLI11 does not say which options a command excludes
    for (const CLI::Option* option : options) {
      if (option->count() > 0 && error.what() == absl::StrCat(command.get_name(), " excludes ", option->get_name())) {
        return absl::StrCat(LabelOf(*option), " has no effect on this command. Leave it out.");
      }
    }
  }
  if (const std::string text = WrongRequirement(command, options); !text.empty()) return text;
  return absl::StrCat(error.what(), ".");
}

}  // namespace muster
