#include "client/init/arguments.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/job_file.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr size_t kMostArguments = 10000;  // aliases let a short text expand to a very long one

absl::Status Wrong(const std::string& name, int line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(name, ":", line, ": ", what));
}

// Nested maps become keys with dots.
absl::Status AddMap(const std::string& name, const std::string& prefix, const YAML::Node& map,
                    std::vector<Argument>& arguments) {
  for (const auto& entry : map) {
    const int line = entry.first.Mark().line + 1;
    if (!entry.first.IsScalar()) return Wrong(name, line, "a key must be a word.");
    if (arguments.size() >= kMostArguments) return Wrong(name, line, "holds too many arguments.");
    Argument argument{.key = absl::StrCat(prefix, entry.first.Scalar()), .line = line};
    const YAML::Node& value = entry.second;
    if (value.IsMap()) {
      RETURN_IF_ERROR(AddMap(name, absl::StrCat(argument.key, "."), value, arguments));
      continue;
    }
    if (value.IsScalar()) argument.values.push_back(value.Scalar());
    for (const YAML::Node& item : value.IsSequence() ? value : YAML::Node(YAML::NodeType::Sequence)) {
      argument.values.push_back(item.IsScalar() ? item.Scalar() : YAML::Dump(item));
    }
    arguments.push_back(std::move(argument));
  }
  return absl::OkStatus();
}

struct Word {
  std::string text;
  int line = 0;
};

// Splits a command line like a shell, with quotes, backslashes, comments and continued lines. Expands nothing.
absl::StatusOr<std::vector<Word>> ShellWords(const std::string& name, const std::string& text) {
  std::vector<Word> words;
  bool in_word = false;
  char quote = 0;
  int line = 1;
  const auto begin = [&] {
    if (!in_word) words.push_back({"", line});
    in_word = true;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    line += c == '\n';
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      ++i;
      line += text[i] == '\n';
      if (text[i] == '\n') continue;
      begin();
      words.back().text += text[i];
    } else if (quote != 0) {
      if (c != quote) words.back().text += c;
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      begin();
      quote = c;
    } else if (std::isspace(static_cast<unsigned char>(c))) {
      in_word = false;
    } else if (c == '#' && !in_word) {
      i = std::min(text.find('\n', i), text.size()) - 1;
    } else {
      begin();
      words.back().text += c;
    }
  }
  if (quote != 0) return Wrong(name, line, absl::StrCat("the quote ", std::string(1, quote), " is never closed."));
  return words;
}

bool IsAssignment(const std::string& word) {
  const size_t equals = word.find('=');
  return equals != std::string::npos && equals > 0 &&
         std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(equals),
                     [](unsigned char c) { return std::isupper(c) || std::isdigit(c) || c == '_'; });
}

// A word after a flag that is not its value: launchers take the module or script after their own flags.
bool IsProgram(const std::string& word) {
  return word == "-m" || absl::StartsWith(word, "tevatron.") || absl::StartsWith(word, "FlagEmbedding.") ||
         absl::EndsWith(word, ".py");
}

ToolArguments FromWords(const std::vector<Word>& words) {
  ToolArguments read;
  std::vector<std::string> program;
  bool in_flags = false;
  for (const Word& word : words) {
    const size_t equals = word.text.find('=');
    if (absl::StartsWith(word.text, "--")) {
      in_flags = true;
      Argument argument{.key = absl::StrReplaceAll(word.text.substr(2, equals == std::string::npos ? equals : equals - 2),
                                                   {{"-", "_"}}),
                        .line = word.line};
      if (equals != std::string::npos) argument.values.push_back(word.text.substr(equals + 1));
      read.arguments.push_back(std::move(argument));
    } else if (!in_flags && IsAssignment(word.text)) {
      read.arguments.push_back({word.text.substr(0, equals), {word.text.substr(equals + 1)}, word.line});
    } else if (!in_flags || IsProgram(word.text)) {
      program.push_back(word.text);
    } else {
      read.arguments.back().values.push_back(word.text);
    }
  }
  for (Argument& argument : read.arguments) {
    if (argument.values.empty()) argument.values.push_back("true");  // a flag
  }
  read.program = absl::StrJoin(program, " ");
  return read;
}

}  // namespace

std::string Argument::Text() const {
  if (values.empty()) return "null";
  return values.size() == 1 ? values[0] : absl::StrCat("[", absl::StrJoin(values, ", "), "]");
}

absl::StatusOr<ToolArguments> ReadToolArguments(const std::string& name, const std::string& text) {
  YAML::Node node;
  std::string yaml_error;
  int documents = 0;
  try {
    documents = CountYamlDocuments(text);
    node = YAML::Load(text);
  } catch (const YAML::Exception& error) {
    yaml_error = absl::StrCat(name, ":", error.mark.line + 1, ": is not valid YAML: ", error.msg, ".");
  }
  ToolArguments read;
  if (yaml_error.empty() && node.IsMap()) {
    if (documents > 1) return absl::InvalidArgumentError(absl::StrCat(name, ": holds several documents. Give one."));
    RETURN_IF_ERROR(AddMap(name, "", node, read.arguments));
    return read;
  }
  ASSIGN_OR_RETURN(const std::vector<Word> words, ShellWords(name, text));
  if (std::ranges::any_of(words, [](const Word& word) { return absl::StartsWith(word.text, "--"); })) {
    return FromWords(words);
  }
  return absl::InvalidArgumentError(
      !yaml_error.empty() ? yaml_error
                          : absl::StrCat(name, ": holds no arguments. Give a YAML or JSON map of them, or a command line "
                                               "with --flags."));
}

}  // namespace muster
