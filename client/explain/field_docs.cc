#include "client/explain/field_docs.h"

#include <regex>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/explain/job_spec_page.h"

namespace muster {
namespace {

// Removes links, code marks and the escapes of tables.
std::string Plain(absl::string_view cell) {
  static const std::regex kLink(R"(\[([^\]]*)\]\([^)]*\))");
  const std::string text = std::regex_replace(std::string(absl::StripAsciiWhitespace(cell)), kLink, "$1");
  return absl::StrReplaceAll(text, {{"`", ""}, {"\x01", "|"}});
}

std::vector<std::string> Cells(absl::string_view row) {
  const std::string text = absl::StrReplaceAll(row, {{"\\|", "\x01"}});
  std::vector<std::string> cells = absl::StrSplit(text, '|');
  if (cells.size() < 3) return {};
  return {cells.begin() + 1, cells.end() - 1};
}

}  // namespace

std::vector<FieldDoc> ParseFieldDocs(absl::string_view page) {
  std::vector<FieldDoc> docs;
  std::string section;
  std::vector<std::string> header;
  for (const absl::string_view line : absl::StrSplit(page, '\n')) {
    if (absl::StartsWith(line, "## ")) section = std::string(line.substr(3));
    if (!absl::StartsWith(line, "|")) {
      header.clear();
      continue;
    }
    const std::vector<std::string> cells = Cells(line);
    if (header.empty()) {
      for (const std::string& cell : cells) header.push_back(Plain(cell));
      continue;
    }
    if (header.front() != "key" || absl::StartsWith(line, "|---") || cells.size() != header.size()) continue;
    FieldDoc doc;
    for (size_t i = 1; i < cells.size(); ++i) {
      std::string& text = header[i] == "type" ? doc.type : header[i] == "default" ? doc.default_value : doc.meaning;
      text = Plain(cells[i]);
    }
    // Similar keys share a row: `beta1`, `beta2`.
    for (const absl::string_view key : absl::StrSplit(Plain(cells[0]), ", ")) {
      doc.field = section == "Top level" ? std::string(key) : absl::StrCat(section, ".", key);
      docs.push_back(doc);
    }
  }
  return docs;
}

const std::vector<FieldDoc>& FieldDocs() {
  static const auto* const kDocs = new std::vector<FieldDoc>(ParseFieldDocs(kJobSpecPage));
  return *kDocs;
}

}  // namespace muster
