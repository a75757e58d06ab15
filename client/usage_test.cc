// Laws of every command and every flag: the tests walk the whole tree, so that no new flag is forgotten.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/app.h"
#include "client/shell/examples.h"
#include "common/flags/explain.h"

namespace muster {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct Tree {
  Tree() : app("test", "muster") { AddMuster(app, cli); }
  Cli cli;
  CLI::App app;
};

// The text for a wrong command line; "" if it is right.
std::string Refusal(const std::vector<std::string>& words) {
  Tree tree;
  const absl::Status status = ParseWords(tree.app, words, MusterAdvice());
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}
std::string Refusal(const std::string& line) {
  return Refusal(std::vector<std::string>(absl::StrSplit(line, ' ', absl::SkipEmpty())));
}

// Every command that does something or has subcommands, with the words that lead to it.
void ForEachCommand(CLI::App& app, std::vector<std::string> words,
                    const std::function<void(CLI::App&, const std::vector<std::string>&)>& visit) {
  visit(app, words);
  for (CLI::App* command : CommandsOf(app)) {
    words.push_back(command->get_name());
    ForEachCommand(*command, words, visit);
    words.pop_back();
  }
}

// A valid value for an option, to satisfy required options.
std::string GoodValue(CLI::Option& option) {
  for (const char* value : {"x", "1", "json", "csv", "viewer", "bash", "12345678"}) {
    if (WrongValue(option, value).empty()) return value;
  }
  return "";
}

// A command's words with everything that it requires, except the option `but`.
std::vector<std::string> Complete(CLI::App& command, std::vector<std::string> words, const CLI::Option* but = nullptr) {
  for (CLI::Option* option : OptionsOf(command)) {
    if (option == but || !option->get_required()) continue;
    if (!option->get_positional()) words.push_back(LabelOf(*option));
    words.push_back(GoodValue(*option));
  }
  return words;
}

void ExpectOurWords(const std::string& text, const std::string& where) {
  for (const char* leak : {"->", "FAILED", "were given", "were not expected", "is required", "Could not convert",
                           "not in {", " in {", "Requires at", "A subcommand", " excludes --", "INT", "UINT", "FLOAT"}) {
    EXPECT_THAT(text, Not(HasSubstr(leak))) << where;
  }
  EXPECT_THAT(text, StartsWith("muster")) << where;
  EXPECT_EQ(text.find('\n'), std::string::npos) << where << ": one line: " << text;
}

TEST(Usage, AMisspelledCommandIsAnsweredWithTheNearest) {
  Tree tree;
  int seen = 0;
  ForEachCommand(tree.app, {}, [&](CLI::App& command, const std::vector<std::string>& words) {
    if (words.empty()) return;
    std::vector<std::string> wrong = words;
    std::string& last = wrong.back();
    last.back() = last.back() == 'x' ? 'y' : 'x';
    if (MusterAdvice().count(absl::StrJoin(wrong, " ")) > 0) return;
    const std::string text = Refusal(wrong);
    EXPECT_THAT(text, HasSubstr(absl::StrCat("unknown command \"", last, "\""))) << absl::StrJoin(wrong, " ");
    EXPECT_THAT(text, HasSubstr("Allowed: "));
    EXPECT_THAT(text, HasSubstr(absl::StrCat("Did you mean \"", command.get_name(), "\"?"))) << text;
    ExpectOurWords(text, absl::StrJoin(wrong, " "));
    ++seen;
  });
  EXPECT_GT(seen, 30);
}

TEST(Usage, AMisspelledFlagIsAnsweredWithTheNearest) {
  Tree tree;
  int seen = 0;
  ForEachCommand(tree.app, {}, [&](CLI::App& command, const std::vector<std::string>& words) {
    for (const CLI::Option* option : OptionsOf(command)) {
      for (const std::string& name : option->get_lnames()) {
        std::string wrong = "--" + name;
        wrong.back() = wrong.back() == 'x' ? 'y' : 'x';
        std::vector<std::string> line = words;
        line.push_back(wrong);
        const std::string text = Refusal(line);
        EXPECT_THAT(text, HasSubstr(absl::StrCat("unknown flag \"", wrong, "\". Allowed: ")));
        EXPECT_THAT(text, HasSubstr(absl::StrCat("Did you mean \"--", name, "\"?"))) << text;
        ExpectOurWords(text, absl::StrJoin(line, " "));
        ++seen;
      }
    }
  });
  EXPECT_GT(seen, 200);
}

TEST(Usage, AWrongValueSaysWhatIsAllowed) {
  Tree tree;
  int closed = 0, numbers = 0;
  ForEachCommand(tree.app, {}, [&](CLI::App& command, const std::vector<std::string>& words) {
    if (!CommandsOf(command).empty()) return;
    for (CLI::Option* option : OptionsOf(command)) {
      if (option->get_positional() || option->get_items_expected_max() == 0) continue;
      std::vector<std::string> line = Complete(command, words, option);
      line.push_back(absl::StrCat(LabelOf(*option), "=no/such"));
      const std::string text = Refusal(line);
      const bool is_checked = !WrongValue(*option, "no/such").empty();
      const bool is_closed = absl::StrContains(WrongValue(*option, "no/such"), "Allowed:");
      if (!is_checked && absl::StrContains(text, "is not a number")) ++numbers;
      if (is_checked) {
        EXPECT_THAT(text, HasSubstr(LabelOf(*option))) << absl::StrJoin(line, " ");
        EXPECT_THAT(text, HasSubstr("no/such"));
      }
      if (is_closed) {
        EXPECT_THAT(text, HasSubstr("unknown value \"no/such\". Allowed: "));
        ++closed;
      }
      if (!text.empty()) ExpectOurWords(text, absl::StrJoin(line, " "));
    }
  });
  EXPECT_GT(closed, 30) << "--output of every command, at least";
  EXPECT_GE(numbers, 3) << "--keep, --skip-bad, --slots";
}

TEST(Usage, WhatIsRequiredIsNamedWithItsMeaning) {
  Tree tree;
  int seen = 0;
  ForEachCommand(tree.app, {}, [&](CLI::App& command, const std::vector<std::string>& words) {
    if (!CommandsOf(command).empty()) {
      const std::string text = Refusal(words);
      EXPECT_THAT(text, HasSubstr("no command is given. Allowed: "));
      ExpectOurWords(text, absl::StrJoin(words, " "));
      return;
    }
    for (CLI::Option* option : OptionsOf(command)) {
      if (!option->get_required()) continue;
      // A positional that is left out gives its place to the next one, so only the last can be missing.
      const std::string text = Refusal(option->get_positional() ? words : Complete(command, words, option));
      EXPECT_THAT(text, HasSubstr(" is missing: ")) << absl::StrJoin(words, " ");
      ExpectOurWords(text, absl::StrJoin(words, " "));
      ++seen;
    }
  });
  EXPECT_GT(seen, 20);
}

TEST(Usage, AFlagWithoutItsValueAndAFlagGivenTwiceAreNamed) {
  Tree tree;
  ForEachCommand(tree.app, {}, [&](CLI::App& command, const std::vector<std::string>& words) {
    if (!CommandsOf(command).empty()) return;
    for (CLI::Option* option : OptionsOf(command)) {
      if (option->get_positional() || option->get_items_expected_max() == 0) continue;
      std::vector<std::string> line = Complete(command, words, option);
      line.push_back(LabelOf(*option));
      EXPECT_THAT(Refusal(line), HasSubstr(absl::StrCat(LabelOf(*option), " needs a value"))) << absl::StrJoin(line, " ");
      if (option->get_items_expected_max() > 1) continue;
      line.push_back(GoodValue(*option));
      line.push_back(LabelOf(*option));
      line.push_back(GoodValue(*option));
      EXPECT_THAT(Refusal(line), HasSubstr(absl::StrCat(LabelOf(*option), " is given twice"))) << absl::StrJoin(line, " ");
    }
  });
}

TEST(Usage, NoCommandReadsAFlagAndIgnoresIt) {
  Tree tree;
  int offline = 0;
  ForEachCommand(tree.app, {}, [&](CLI::App& command, const std::vector<std::string>& words) {
    if (!CommandsOf(command).empty() || command.get_name() == "local") return;
    const bool asks = command.get_parent()->get_name() != "certs" && command.get_parent()->get_name() != "tokens" &&
                      command.get_name() != "version" && command.get_name() != "restore" && command.get_name() != "init" &&
                      command.get_name() != "completion" && command.get_name() != "score" &&
                      command.get_name() != "explain" && command.get_name() != "manual" &&
                      !(command.get_parent()->get_name() == "backup" && command.get_name() != "take");
    std::vector<std::string> line = Complete(command, words);
    line.insert(line.end(), {"--address", "localhost:7070"});
    const std::string text = Refusal(line);
    if (!asks) {
      EXPECT_THAT(text, HasSubstr("--address has no effect on this command")) << absl::StrJoin(line, " ");
    } else {
      EXPECT_THAT(text, Not(HasSubstr("has no effect"))) << absl::StrJoin(line, " ");
    }
    offline += !asks;
  });
  EXPECT_GT(offline, 10);
}

// A command that prints no JSON must declare it: its name is here, or it calls PrintsItsOwnFormat.
TEST(Usage, OutputIsHonoredOrRefused) {
  const std::set<std::string> honor = {
      "submit", "status", "jobs", "job rm", "get", "metrics", "watch", "cancel", "pause", "resume", "data import", "data add",
      "data list", "data show", "data report", "data export", "data rm",
      "models push", "models list", "models show", "models rm", "export", "trace", "eval", "mine", "score", "compare", "report",
      "study run", "study status", "workers", "queues", "drain", "certs show",
      "backup take", "backup list", "tokens list", "gc", "operations", "operation get", "operation cancel", "doctor", "explain", "version"};
  Tree tree;
  ForEachCommand(tree.app, {}, [&](CLI::App& command, const std::vector<std::string>& words) {
    if (!CommandsOf(command).empty() || command.get_name() == "local") return;
    std::vector<std::string> line = Complete(command, words);
    line.insert(line.end(), {"--output", "json"});
    const bool refused = absl::StrContains(Refusal(line), "--output has no effect on this command");
    EXPECT_NE(refused, honor.count(absl::StrJoin(words, " ")) > 0) << absl::StrJoin(words, " ");
  });
}

TEST(Usage, FlagsThatMeanNothingTogetherAreRefused) {
  EXPECT_THAT(Refusal("submit j.yaml --timeout 3"), HasSubstr("--timeout works only with --wait"));
  EXPECT_THAT(Refusal("doctor --gpu"), HasSubstr("--gpu works only with --worker"));
  EXPECT_THAT(Refusal("drain w --now --undo"), HasSubstr("exclude each other"));
  EXPECT_THAT(Refusal("logs j --output json"), HasSubstr("--output has no effect"));
  EXPECT_THAT(Refusal("jobs --wide --output json"), HasSubstr("exclude each other"));
  EXPECT_THAT(Refusal("jobs --insecure --certs c"), HasSubstr("exclude each other"));
  EXPECT_EQ(Refusal("tokens revoke --file f"), "muster tokens revoke: give --user or --id.");
  EXPECT_THAT(Refusal("tokens revoke --file f --user u --id 12345678"), HasSubstr("--user and --id exclude each other"));
  EXPECT_THAT(Refusal("restore f"), HasSubstr("give --coordinator or --data."));
  EXPECT_EQ(Refusal("restore f --coordinator c --data d"), "");
  EXPECT_THAT(Refusal("study run s.yaml --detach --parallel 2"), HasSubstr("exclude each other"));
  EXPECT_THAT(Refusal("compare a b --qrels q --address localhost:7070"), HasSubstr("exclude each other"));
  EXPECT_EQ(Refusal("compare a b --address localhost:7070"), "") << "jobs";
  EXPECT_THAT(Refusal("compare a b --rule trec_eval"), HasSubstr("--rule works only with --qrels"));
  EXPECT_THAT(Refusal("get j --query-values f --run g"), HasSubstr("exclude each other"));
}

TEST(Usage, TextsNameWhatIsAllowed) {
  EXPECT_EQ(Refusal("jobs --output xml"), "muster jobs: --output: unknown value \"xml\". Allowed: table, json, yaml.");
  EXPECT_THAT(Refusal("jobs --output jsn"), HasSubstr("Did you mean \"json\"?"));
  EXPECT_THAT(Refusal("ps"), AllOf(HasSubstr("Use muster jobs"), HasSubstr("Allowed: ")));
  EXPECT_THAT(Refusal("data ls"), HasSubstr("Use muster data list."));
  EXPECT_THAT(Refusal("certs init a --days 1.5"), HasSubstr("--days: \"1.5\" is not a whole number from 1 to 36500."));
  EXPECT_THAT(Refusal("watch j --timeout 0"), HasSubstr("--timeout: \"0\" is not a number above 0."));
  for (const char* line : {"data import n f --skip-bad -1", "data show n --seed -1", "backup take f --keep -1"}) {
    EXPECT_THAT(Refusal(line), HasSubstr("\"-1\" is not a number of 0 or more.")) << line;
  }
  EXPECT_THAT(Refusal("logs j --rank -1"), HasSubstr("--rank: \"-1\" is not a number of 0 or more."));
  EXPECT_THAT(Refusal("get j k"), HasSubstr("unexpected argument \"k\". Usage: muster get JOB [FLAGS]."));
  EXPECT_THAT(Refusal("jobs --active=maybe"), HasSubstr("--active takes no value"));
}

TEST(Usage, EveryHelpTextEndsWithExamplesThatAreRight) {
  Tree tree;
  std::set<std::string> seen;
  ForEachCommand(tree.app, {}, [&](CLI::App& command, const std::vector<std::string>& words) {
    const std::string path = absl::StrJoin(words, " ");
    const auto found = Examples().find(path);
    ASSERT_NE(found, Examples().end()) << path << ": add examples to client/shell/examples.cc";
    ASSERT_FALSE(found->second.empty()) << path;
    seen.insert(path);
    for (const std::string& example : found->second) {
      EXPECT_THAT(command.help(), HasSubstr(absl::StrCat("\n  ", example, "\n"))) << path;
      EXPECT_THAT(example, StartsWith(path.empty() ? "muster " : absl::StrCat("muster ", path))) << path;
      EXPECT_EQ(Refusal(example.substr(sizeof("muster"))), "") << example;
    }
  });
  EXPECT_EQ(seen.size(), Examples().size()) << "examples of a command that does not exist";
}

TEST(Usage, AStudysFileIsForStudyRun) {
  EXPECT_EQ(Refusal("study pilot.yaml --parallel 4"), "");
  EXPECT_EQ(Refusal("study ./pilot"), "");
  EXPECT_THAT(Refusal("study pilot"), HasSubstr("unknown command \"pilot\". Allowed: run, status, report."));
  EXPECT_THAT(Refusal("jobs.yaml"), HasSubstr("unknown command")) << "no command `run` stands next to jobs";
}

TEST(Usage, HelpAndVersionAreFoundWhereverTheyAreLookedFor) {
  for (const char* line : {"help", "help submit", "submit --help", "data help", "help data import", "-V", "--version", "-h"}) {
    Tree tree;
    EXPECT_THROW((void)ParseWords(tree.app, absl::StrSplit(line, ' '), MusterAdvice()), CLI::Success) << line;
  }
  EXPECT_THAT(Refusal("help sumbit"), HasSubstr("Did you mean \"submit\"?"));
}

TEST(Usage, AdviceNamesCommandsThatExist) {
  Tree tree;
  for (const auto& [word, use] : MusterAdvice()) {
    for (const absl::string_view part : absl::StrSplit(use, "muster ")) {
      std::vector<std::string> words = absl::StrSplit(part, absl::ByAnyChar(" ,"), absl::SkipEmpty());
      if (words.empty()) continue;
      const auto commands = CommandsOf(tree.app);
      EXPECT_TRUE(std::any_of(commands.begin(), commands.end(),
                              [&](const CLI::App* command) { return command->get_name() == words[0]; }))
          << word << ": " << use;
    }
  }
}

}  // namespace
}  // namespace muster
