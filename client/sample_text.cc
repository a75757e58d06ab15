#include "client/sample_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/words.h"

namespace muster {
namespace {

constexpr int kLines = 3;
constexpr int kIndent = 4;
constexpr int kLeastWidth = 40;

bool Continues(char byte) { return (byte & 0xC0) == 0x80; }

size_t Characters(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return !Continues(byte); });
}

// The bytes of the first `characters` of the text.
size_t BytesOf(absl::string_view text, size_t characters) {
  size_t bytes = 0;
  while (bytes < text.size() && (characters > 0 || Continues(text[bytes]))) {
    if (!Continues(text[bytes])) --characters;
    ++bytes;
    while (bytes < text.size() && Continues(text[bytes])) ++bytes;
  }
  return bytes;
}

// Controls of ASCII, and of Latin-1 (U+0080 to U+009F, in UTF-8 after the byte C2).
std::string WithoutControls(absl::string_view text) {
  std::string clean;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool latin = byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    clean += byte < 0x20 || byte == 0x7F || latin ? ' ' : text[i];
    i += latin;
  }
  return clean;
}

std::string JudgedText(const muster::v1::JudgedPassage& passage, int width) {
  const std::string kind = passage.hard_negative() ? "hard negative"
                           : passage.ignored()     ? "ignored, neither positive nor negative"
                           : passage.grade() > 0   ? absl::StrCat("positive, grade ", passage.grade())
                                                   : "not relevant, grade 0";
  const std::string title = passage.title().empty() ? "" : absl::StrCat(passage.title(), " | ");
  return absl::StrCat("  ", WithoutControls(absl::StrCat(kind, ", ", passage.source(), ", ", passage.id())), "\n",
                      std::string(kIndent, ' '), Wrapped(absl::StrCat(title, passage.text()), width, kIndent, kLines), "\n");
}

}  // namespace

std::string Wrapped(const std::string& text, int width, int indent, int lines) {
  std::vector<std::string> words = absl::StrSplit(WithoutControls(text), ' ', absl::SkipEmpty());
  const auto room = static_cast<size_t>(std::max(width - indent, kLeastWidth - indent));
  std::vector<std::string> wrapped(1);
  size_t used = 0;
  for (absl::string_view word : words) {
    while (!word.empty()) {
      const size_t length = Characters(word);
      if (used > 0 && used + 1 + length > room) {
        wrapped.emplace_back();
        used = 0;
      }
      const size_t bytes = BytesOf(word, room);  // a longer word is broken
      absl::StrAppend(&wrapped.back(), used > 0 ? " " : "", word.substr(0, bytes));
      used += (used > 0 ? 1 : 0) + Characters(word.substr(0, bytes));
      word.remove_prefix(bytes);
    }
    if (wrapped.size() > static_cast<size_t>(lines)) break;
  }
  if (wrapped.size() > static_cast<size_t>(lines)) {
    wrapped.resize(lines);
    wrapped.back().resize(BytesOf(wrapped.back(), room - 1));
    wrapped.back() += "…";
  }
  std::string result = wrapped[0];
  for (size_t i = 1; i < wrapped.size(); ++i) absl::StrAppend(&result, "\n", std::string(indent, ' '), wrapped[i]);
  return result;
}

std::string SampleText(const muster::v1::ShowDatasetResponse& sample, int width) {
  std::string text;
  for (const auto& query : sample.queries()) {
    absl::StrAppend(&text, "\n", Wrapped(absl::StrCat("query ", query.id(), ": ", query.text()), width, 2, kLines), "\n");
    for (const auto& passage : query.judged()) text += JudgedText(passage, width);
    const uint64_t more = query.judgments() - std::min<uint64_t>(query.judgments(), query.judged_size());
    if (more > 0) absl::StrAppend(&text, "  … and ", Plural(more, "judgment"), " more\n");
    if (query.judgments() == 0) absl::StrAppend(&text, "  no judgment in split ", sample.split(), "\n");
  }
  return text;
}

}  // namespace muster
