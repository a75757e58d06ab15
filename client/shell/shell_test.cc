// Tests the generated texts. tests/shell_test.py runs the program's own scripts in real shells and groff.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/shell/command_tree.h"
#include "client/shell/completion.h"
#include "client/shell/manual.h"
#include "common/flags/parse_flags.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct Program {
  Program() : app("Trains -- 'well'.", "prog") {
    app.add_flag("--verbose", verbose, "Says more");
    CLI::App* data = app.add_subcommand("data", "Datasets");
    CLI::App* import = data->add_subcommand("import", "Brings a set: quickly")->fallthrough();
    import->footer("Example:\n  prog data import a-b");
    import->add_option("path", path, "A file")->required()->type_name("PATH");
    AddChoice(*import, "-k,--kind", kind, {{"beir", 1}, {"jsonl", 2}}, "What it is")->type_name("KIND");
  }
  CLI::App app;
  bool verbose = false;
  std::string path;
  int kind = 0;
};

TEST(CommandTree, HoldsCommandsFlagsAndChoices) {
  Program program;
  const CommandInfo tree = CommandTree(program.app);
  ASSERT_EQ(tree.commands.size(), 1);
  ASSERT_EQ(tree.commands[0].commands.size(), 1);
  const CommandInfo& import = tree.commands[0].commands[0];
  EXPECT_EQ(import.path, "prog data import");
  bool seen = false;
  for (const FlagInfo& flag : import.flags) {
    if (flag.positional) {
      EXPECT_THAT(flag.names, ElementsAre("PATH"));
    } else if (flag.names.back() == "--kind") {
      EXPECT_THAT(flag.names, ElementsAre("-k", "--kind"));
      EXPECT_THAT(flag.choices, ElementsAre("beir", "jsonl"));
      EXPECT_EQ(flag.value, "KIND");
      seen = true;
    } else {
      EXPECT_THAT(flag.value, IsEmpty()) << flag.names.back();
    }
  }
  EXPECT_TRUE(seen);
}

TEST(Completion, QuotesWhatShellsWouldRead) {
  CommandInfo program{.path = "prog", .name = "prog"};
  program.commands.push_back({.path = "prog it", .name = "it", .description = "A job's: \\end"});
  EXPECT_THAT(CompletionScript(program, Shell::kZsh), HasSubstr(R"('it:A job'\''s: \end')"));
  EXPECT_THAT(CompletionScript(program, Shell::kFish), HasSubstr(R"('A job\'s: \\end')"));
}

TEST(ManualPage, DescribesEachFlagOnceAndKeepsItsHyphens) {
  Program program;
  const std::string page = ManualPage(CommandTree(program.app), "1.2.3");
  EXPECT_THAT(page, HasSubstr(".nf\nExample:\n  prog data import a\\-b\n.fi\n"));
  EXPECT_THAT(page, HasSubstr(".SS prog data import PATH\nBrings a set: quickly\n"));
  EXPECT_THAT(page, HasSubstr(".B \\-k, \\-\\-kind KIND\nWhat it is (beir, jsonl)\n"));
  const size_t first = page.find("\\-\\-verbose");
  EXPECT_NE(first, std::string::npos);
  EXPECT_EQ(page.find("\\-\\-verbose", first + 1), std::string::npos);
}

TEST(ManualPage, ALineThatBeginsWithADotIsNotARequest) {
  CommandInfo program{.path = "prog", .name = "prog", .description = "Trains."};
  program.commands.push_back({.path = "prog it", .name = "it", .description = ".so /etc/passwd"});
  EXPECT_THAT(ManualPage(program, "1"), Not(HasSubstr("\n.so")));
}

}  // namespace
}  // namespace muster
