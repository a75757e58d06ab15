// The HTML around a report's content: one page that needs no other file and no network. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace muster {

// A whole page. `title` may be any text; `body` is HTML. The page's Content-Security-Policy makes the browser refuse every
// request, and every script except the page's own, even if some text were not escaped.
std::string PageHtml(absl::string_view title, absl::string_view body);

// A section with a heading and the content; "" if there is no content. `title` may be any text; `content` is HTML.
std::string SectionHtml(absl::string_view title, absl::string_view content);

// A table; cells may have any text. The first row is the header, which is hidden if all its cells are empty. `numbers`: aligns
// cells right. "" without rows below the header.
using Rows = std::vector<std::vector<std::string>>;
std::string TableHtml(const Rows& rows, bool numbers);

// A bullet list; items may be any text. "" if there are none.
std::string ListHtml(const std::vector<std::string>& texts);
std::string ParagraphHtml(absl::string_view text);  // any text; "" if it is empty
std::string CodeHtml(absl::string_view text);       // any text, to copy

}  // namespace muster
