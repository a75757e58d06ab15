#include "client/shell/completion.h"

#include <functional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace muster {
namespace {

using Visit = std::function<void(const CommandInfo&)>;

void ForEach(const CommandInfo& command, const Visit& visit) {
  visit(command);
  for (const CommandInfo& below : command.commands) ForEach(below, visit);
}

// The paths of all commands, without the program itself, as patterns of a shell's `case`.
std::string Paths(const CommandInfo& program, const std::string& separator) {
  std::vector<std::string> paths;
  ForEach(program, [&](const CommandInfo& command) {
    if (command.path != program.path) paths.push_back(absl::StrCat("'", command.path, "'"));
  });
  return absl::StrJoin(paths, separator);
}

std::vector<std::string> NamesOf(const CommandInfo& command) {
  std::vector<std::string> names;
  for (const FlagInfo& flag : command.flags) {
    if (!flag.positional) names.insert(names.end(), flag.names.begin(), flag.names.end());
  }
  return names;
}

std::vector<std::string> NamesOf(const std::vector<CommandInfo>& commands) {
  std::vector<std::string> names;
  for (const CommandInfo& command : commands) names.push_back(command.name);
  return names;
}

// Lines "'muster jobs --output') ..." of every flag with a closed choice.
std::string Choices(const CommandInfo& program, const std::string& before, const std::string& after) {
  std::string lines;
  ForEach(program, [&](const CommandInfo& command) {
    for (const FlagInfo& flag : command.flags) {
      if (flag.choices.empty() || flag.positional) continue;
      for (const std::string& name : flag.names) {
        absl::StrAppend(&lines, "    '", command.path, " ", name, "') ", before, absl::StrJoin(flag.choices, " "), after, "\n");
      }
    }
  });
  return lines;
}

// One word of a shell in single quotes; these shells differ in how a quote within is written.
std::string Quoted(const std::string& text) { return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'"); }
std::string QuotedForFish(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

std::string Bash(const CommandInfo& program) {
  std::string text = absl::StrCat("# Completion of ", program.name, " for bash. Source it, or keep it as /etc/bash_completion.d/",
                                  program.name, ".\n_", program.name, "() {\n");
  absl::StrAppend(&text, "  local current=${COMP_WORDS[COMP_CWORD]} place=", program.name, " commands='' flags='' i\n",
                  "  for ((i = 1; i < COMP_CWORD; ++i)); do\n    case \"$place ${COMP_WORDS[i]}\" in\n      ",
                  Paths(program, " | "), ") place=\"$place ${COMP_WORDS[i]}\" ;;\n    esac\n  done\n",
                  "  case \"$place ${COMP_WORDS[COMP_CWORD - 1]}\" in\n",
                  Choices(program, "COMPREPLY=($(compgen -W '", "' -- \"$current\")); return ;;"), "  esac\n",
                  "  case $place in\n");
  ForEach(program, [&](const CommandInfo& command) {
    absl::StrAppend(&text, "    '", command.path, "')\n      commands='", absl::StrJoin(NamesOf(command.commands), " "),
                    "'\n      flags='", absl::StrJoin(NamesOf(command), " "), "' ;;\n");
  });
  absl::StrAppend(&text, "  esac\n  if [[ $current == -* ]]; then\n    COMPREPLY=($(compgen -W \"$flags\" -- \"$current\"))\n",
                  "  elif [[ $commands ]]; then\n    COMPREPLY=($(compgen -W \"$commands\" -- \"$current\"))\n  else\n",
                  "    compopt -o default\n    COMPREPLY=()\n  fi\n}\ncomplete -F _", program.name, " ", program.name, "\n");
  return text;
}

// Descriptions follow a colon.
std::string Described(const std::vector<std::pair<std::string, std::string>>& words) {
  std::string text;
  for (const auto& [word, description] : words) {
    absl::StrAppend(&text, " ", Quoted(absl::StrCat(absl::StrReplaceAll(word, {{":", "\\:"}}), ":", description)));
  }
  return std::string(absl::StripPrefix(text, " "));
}

std::string Zsh(const CommandInfo& program) {
  std::string text = absl::StrCat("#compdef ", program.name, "\n# Completion of ", program.name, " for zsh: keep it as _", program.name,
                                  " in a folder of fpath.\n_", program.name, "() {\n");
  absl::StrAppend(&text, "  local place=", program.name, " i\n  local -a commands flags\n",
                  "  for ((i = 2; i < CURRENT; ++i)); do\n    case \"$place ${words[i]}\" in\n      (", Paths(program, " | "),
                  ") place=\"$place ${words[i]}\" ;;\n    esac\n  done\n  case \"$place ${words[CURRENT - 1]}\" in\n",
                  Choices(program, "compadd -- ", "; return ;;"), "  esac\n  case $place in\n");
  ForEach(program, [&](const CommandInfo& command) {
    std::vector<std::pair<std::string, std::string>> commands, flags;
    for (const CommandInfo& below : command.commands) commands.emplace_back(below.name, below.description);
    for (const FlagInfo& flag : command.flags) {
      for (const std::string& name : flag.names) {
        if (!flag.positional) flags.emplace_back(name, flag.description);
      }
    }
    absl::StrAppend(&text, "    ('", command.path, "')\n      commands=(", Described(commands), ")\n      flags=(", Described(flags),
                    ") ;;\n");
  });
  absl::StrAppend(&text, "  esac\n  if [[ ${words[CURRENT]} == -* ]]; then\n    _describe flag flags\n",
                  "  elif (( $#commands )); then\n    _describe command commands\n  else\n    _files\n  fi\n}\n_", program.name,
                  " \"$@\"\n");
  return text;
}

std::string Fish(const CommandInfo& program) {
  std::string text = absl::StrCat("# Completion of ", program.name, " for fish: keep it as ", program.name,
                                  ".fish in a folder of fish_complete_path.\nfunction __", program.name, "_at\n");
  absl::StrAppend(&text, "  set -l place ", program.name, "\n  for word in (commandline -opc)[2..-1]\n    switch \"$place $word\"\n",
                  "      case ", Paths(program, " "), "\n        set place \"$place $word\"\n    end\n  end\n",
                  "  test \"$place\" = \"$argv\"\nend\n");
  ForEach(program, [&](const CommandInfo& command) {
    const std::string at = absl::StrCat("complete -c ", program.name, " -n '__", program.name, "_at ", command.path, "'");
    for (const CommandInfo& below : command.commands) {
      absl::StrAppend(&text, at, " -f -a ", below.name, " -d ", QuotedForFish(below.description), "\n");
    }
    for (const FlagInfo& flag : command.flags) {
      if (flag.positional) continue;
      absl::StrAppend(&text, at);
      for (const std::string& name : flag.names) {
        if (name[1] == '-') absl::StrAppend(&text, " -l ", name.substr(2));
        else absl::StrAppend(&text, " -s ", name.substr(1));
      }
      if (!flag.value.empty()) absl::StrAppend(&text, " -r");
      if (!flag.choices.empty()) absl::StrAppend(&text, " -f -a '", absl::StrJoin(flag.choices, " "), "'");
      absl::StrAppend(&text, " -d ", QuotedForFish(flag.description), "\n");
    }
  });
  return text;
}

}  // namespace

std::string CompletionScript(const CommandInfo& program, Shell shell) {
  switch (shell) {
    case Shell::kBash:
      return Bash(program);
    case Shell::kZsh:
      return Zsh(program);
    case Shell::kFish:
      return Fish(program);
  }
  return "";
}

}  // namespace muster
