#include "client/local/local_command.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace muster {
namespace {

// The words that reach `local`'s positional, with the main program's settings around it.
std::vector<std::string> CommandOf(std::vector<std::string> words) {
  CLI::App app("test", "muster");
  app.require_subcommand(1);
  app.fallthrough();
  std::string output;
  app.add_option("--output", output);
  app.add_subcommand("jobs");
  std::function<absl::StatusOr<int>()> action;
  AddLocalCommand(app, action);
  std::reverse(words.begin(), words.end());
  app.parse(words);
  EXPECT_TRUE(static_cast<bool>(action));
  EXPECT_EQ(output, "") << "an option of the command was taken for one of muster's";
  return app.get_subcommand("local")->get_option("command")->results();
}

TEST(LocalCommand, LeavesTheWordsAfterTheDashesToTheCommand) {
  EXPECT_EQ(CommandOf({"local", "--slots", "2", "--", "muster", "jobs", "--output", "json"}),
            (std::vector<std::string>{"muster", "jobs", "--output", "json"}));
  EXPECT_TRUE(CommandOf({"local", "--slots", "2"}).empty());
}

}  // namespace
}  // namespace muster
