// The keys of a job file as docs/reference/job-spec.md describes them. The page is the only source: it is compiled into
// the program.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace muster {

// Texts are without Markdown's links and code marks. An empty default: there is none.
struct FieldDoc {
  std::string field;  // "model.max_length.query"
  std::string type, default_value, meaning;
};

// The keys of all tables of the page, in its order. `page` is Markdown: keys of the section "Top level" have
// their own names, those of "## model" begin with "model.".
std::vector<FieldDoc> ParseFieldDocs(absl::string_view page);

// The keys of the page that this program was built with.
const std::vector<FieldDoc>& FieldDocs();

}  // namespace muster
