// The frame of a report: one page that needs no other file and no network. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace muster {

// A whole page. `title` is any text; `body` is HTML. Its policy (Content-Security-Policy) makes the browser refuse every
// request, and every script but the page's own, even if a text were not escaped.
std::string PageHtml(absl::string_view title, absl::string_view body);

// "<h2>…</h2>" and the content in a section; "" if there is no content. `title` is any text, `content` HTML.
std::string SectionHtml(absl::string_view title, absl::string_view content);

// Rows of cells with any text; the first row is the header, and not shown if all of it is empty. Numbers are aligned to the
// right if `numbers`. "" without rows below the header.
using Rows = std::vector<std::vector<std::string>>;
std::string TableHtml(const Rows& rows, bool numbers);

// "<ul>" of any texts, "" if there are none.
std::string ListHtml(const std::vector<std::string>& texts);
std::string ParagraphHtml(absl::string_view text);  // any text; "" if it is empty
std::string CodeHtml(absl::string_view text);       // any text, to copy

}  // namespace muster
