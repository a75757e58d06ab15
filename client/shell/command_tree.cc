#include "client/shell/command_tree.h"

#include "absl/strings/str_cat.h"
#include "common/flags/explain.h"

namespace muster {
namespace {

FlagInfo FlagOf(CLI::Option& option) {
  FlagInfo flag{.description = option.get_description(), .choices = ChoicesOf(option), .positional = option.get_positional()};
  if (flag.positional) {
    flag.names.push_back(TypeOf(option));
  } else {
    for (const std::string& name : option.get_snames()) flag.names.push_back(absl::StrCat("-", name));
    for (const std::string& name : option.get_lnames()) flag.names.push_back(absl::StrCat("--", name));
  }
  if (option.get_items_expected_max() > 0) flag.value = TypeOf(option);
  return flag;
}

}  // namespace

CommandInfo CommandTree(CLI::App& app) {
  CommandInfo command{.path = CommandPath(app), .name = app.get_name(), .description = app.get_description(), .footer = app.get_footer()};
  for (CLI::Option* option : OptionsOf(app)) command.flags.push_back(FlagOf(*option));
  for (CLI::App* below : CommandsOf(app)) command.commands.push_back(CommandTree(*below));
  return command;
}

}  // namespace muster
