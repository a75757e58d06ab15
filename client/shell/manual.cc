#include "client/shell/manual.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace muster {
namespace {

// Escapes a line of text, so that hyphens can be copied and a leading dot is not a request of roff.
std::string Plain(const std::string& text) {
  const std::string escaped = absl::StrReplaceAll(text, {{"\\", "\\e"}, {"-", "\\-"}});
  return !escaped.empty() && (escaped[0] == '.' || escaped[0] == '\'') ? absl::StrCat("\\&", escaped) : escaped;
}

std::string PlainLines(const std::string& text) {
  std::string lines;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) absl::StrAppend(&lines, Plain(std::string(line)), "\n");
  return lines;
}

std::string Entry(const std::string& head, const std::string& text) {
  return absl::StrCat(".TP\n.B ", Plain(head), "\n", Plain(text), "\n");
}

std::string Entry(const FlagInfo& flag) {
  std::string head = absl::StrJoin(flag.names, ", ");
  if (!flag.positional && !flag.value.empty()) absl::StrAppend(&head, " ", flag.value);
  std::string text = flag.description;
  if (!flag.choices.empty()) absl::StrAppend(&text, " (", absl::StrJoin(flag.choices, ", "), ")");
  return Entry(head, text);
}

// Flags of the program itself are described once.
void AppendCommand(const CommandInfo& command, const std::set<std::string>& known, std::string& page) {
  std::string synopsis = command.path, entries;
  for (const FlagInfo& flag : command.flags) {
    if (known.count(flag.names.back()) > 0) continue;
    if (flag.positional) absl::StrAppend(&synopsis, " ", flag.names[0]);
    entries += Entry(flag);
  }
  absl::StrAppend(&page, ".SS ", Plain(synopsis), "\n", Plain(command.description), "\n", entries);
  if (!command.footer.empty()) absl::StrAppend(&page, ".PP\n.nf\n", PlainLines(command.footer), ".fi\n");
  for (const CommandInfo& below : command.commands) AppendCommand(below, known, page);
}

}  // namespace

std::string ManualPage(const CommandInfo& program, const std::string& version) {
  std::string page = absl::StrCat(".TH ", absl::AsciiStrToUpper(program.name), " 1 \"\" \"", program.name, " ", version, "\"\n");
  absl::StrAppend(&page, ".SH NAME\n", program.name, " \\- ", Plain(program.description), "\n.SH SYNOPSIS\n.B ", program.name,
                  "\nCOMMAND [ARGUMENT]...\n.SH OPTIONS\nThey may come before or after the command.\n");
  std::set<std::string> known;
  for (const FlagInfo& flag : program.flags) {
    page += Entry(flag);
    known.insert(flag.names.back());
  }
  page += ".SH COMMANDS\n";
  for (const CommandInfo& command : program.commands) AppendCommand(command, known, page);
  page += ".SH EXIT STATUS\n";
  page += Entry("0", "The command did what it says.");
  page += Entry("1", "The job failed.");
  page += Entry("2", "Wrong flags, a wrong file or a wrong value.");
  page += Entry("3", "The job was canceled.");
  page += Entry("4", "Time ran out.");
  page += Entry("5", "No answer from the cluster.");
  page += Entry("6", "The cluster refused: not found, not allowed, no space.");
  page += Entry("130", "Ctrl-C.");
  return page;
}

}  // namespace muster
