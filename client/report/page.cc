#include "client/report/page.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/html_text.h"
#include "client/report/page_files.h"
#include "common/digest.h"

namespace muster {
namespace {

// The script's hash, as the Content-Security-Policy wants it.
std::string ScriptHash() {
  const auto bytes = Sha256Bytes(std::string_view(kReportScript, sizeof(kReportScript) - 1));
  return absl::StrCat("sha256-", absl::Base64Escape({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
}

}  // namespace

std::string PageHtml(absl::string_view title, absl::string_view body) {
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "style-src 'unsafe-inline'; script-src '",
      ScriptHash(),
      "'; base-uri 'none'; form-action 'none'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"data:,\">\n<title>",
      EscapedHtml(title), "</title><style>\n", kReportStyle, "</style></head>\n<body>\n", body, "<script>",
      kReportScript, "</script></body></html>\n");
}

std::string SectionHtml(absl::string_view title, absl::string_view content) {
  if (content.empty()) return "";
  return absl::StrCat("<section><h2>", EscapedHtml(title), "</h2>\n", content, "</section>\n");
}

std::string TableHtml(const Rows& rows, bool numbers) {
  if (rows.size() < 2) return "";
  std::string html = absl::StrCat("<div class=\"scroll\"><table", numbers ? " class=\"numbers\"" : "", ">\n");
  const bool has_header = std::any_of(rows[0].begin(), rows[0].end(), [](const std::string& cell) { return !cell.empty(); });
  for (size_t r = has_header ? 0 : 1; r < rows.size(); ++r) {
    html += "<tr>";
    const char* tag = r == 0 ? "th" : "td";
    for (const std::string& cell : rows[r]) absl::StrAppend(&html, "<", tag, ">", EscapedHtml(cell), "</", tag, ">");
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string ListHtml(const std::vector<std::string>& texts) {
  if (texts.empty()) return "";
  std::string html = "<ul>\n";
  for (const std::string& text : texts) absl::StrAppend(&html, "<li>", EscapedHtml(text), "</li>\n");
  return html + "</ul>\n";
}

std::string ParagraphHtml(absl::string_view text) {
  return text.empty() ? "" : absl::StrCat("<p>", EscapedHtml(text), "</p>\n");
}

std::string CodeHtml(absl::string_view text) { return absl::StrCat("<pre><code>", EscapedHtml(text), "</code></pre>\n"); }

}  // namespace muster
