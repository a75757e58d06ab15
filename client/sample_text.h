// Queries of a dataset with their judged passages, as text.
#pragma once

#include <string>

#include "muster/v1/data.pb.h"

namespace muster {

// Texts are wrapped to `width` columns and cut after three lines. Control characters are shown as blanks, so that a
// text cannot control the terminal.
std::string SampleText(const muster::v1::ShowDatasetResponse& sample, int width);

// `text` in lines of at most `width` characters, broken at blanks where possible; longer texts end with "…" after `lines`
// lines. Every line except the first begins with `indent` blanks, which count.
std::string Wrapped(const std::string& text, int width, int indent, int lines);

}  // namespace muster
