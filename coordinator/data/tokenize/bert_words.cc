#include "coordinator/data/tokenize/bert_words.h"

#include <unicode/utf8.h>

#include <array>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "coordinator/data/tokenize/characters.h"
#include "coordinator/data/tokenize/normal_forms.h"
#include "coordinator/data/tokenize/utf8.h"

namespace muster {
namespace {

enum class AsciiClass : uint8_t { kLetter, kDropped, kSpace, kPunctuation };
using AsciiClasses = std::array<AsciiClass, 128>;

constexpr AsciiClasses MakeAsciiClasses(bool clean) {
  AsciiClasses classes{};
  for (int c = 0; c < 128; ++c) {
    const bool other_space = c == '\v' || c == '\f';  // white space for the pre-tokenizer, which cleaning drops
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || (other_space && !clean)) {
      classes[c] = AsciiClass::kSpace;
    } else if ((c < 32 || c == 127) && clean) {
      classes[c] = AsciiClass::kDropped;
    } else if ((c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126)) {
      classes[c] = AsciiClass::kPunctuation;
    }
  }
  return classes;
}
constexpr AsciiClasses kCleaned = MakeAsciiClasses(true), kAsItIs = MakeAsciiClasses(false);

void AppendCleaned(UChar32 c, bool split_ideographs, std::string& text) {
  switch (Classify(c)) {
    case CharacterClass::kDropped: return;
    case CharacterClass::kSpace: text.push_back(' '); return;
    case CharacterClass::kIdeograph:
      if (split_ideographs) {
        text.push_back(' ');
        AppendUtf8(c, text);
        text.push_back(' ');
        return;
      }
      break;
    case CharacterClass::kOther: break;
  }
  AppendUtf8(c, text);
}

// Strips and lower-cases `text`, which is cleaned, and appends it.
void AppendStrippedAndLowered(std::string text, const BertOptions& options, std::string& result) {
  if (options.strip_accents) Normalize(NormalForm::kNfd, text);
  if (!options.strip_accents && !options.lower_case) {
    result += text;
    return;
  }
  for (size_t i = 0; i < text.size();) {
    const UChar32 c = NextCodePoint(text, i);
    if (options.strip_accents && IsAccent(c)) continue;
    if (options.lower_case) {
      AppendLowerCase(c, result);
    } else {
      AppendUtf8(c, result);
    }
  }
}

// Any text, one character at a time.
void AppendNormalized(std::string_view utf8, const BertOptions& options, std::string& result) {
  std::string text;
  const auto size = static_cast<int64_t>(utf8.size());
  for (int64_t i = 0; i < size;) {
    UChar32 c;
    U8_NEXT_OR_FFFD(utf8.data(), i, size, c);
    if (options.clean) {
      AppendCleaned(c, options.split_ideographs, text);
    } else if (options.split_ideographs && IsBertIdeograph(c)) {
      text.push_back(' ');
      AppendUtf8(c, text);
      text.push_back(' ');
    } else {
      AppendUtf8(c, text);
    }
  }
  AppendStrippedAndLowered(std::move(text), options, result);
}

void ForEachWordOfAscii(std::string_view run, const BertOptions& options, const AsciiClasses& classes,
                        std::string& buffer, absl::FunctionRef<void(std::string_view)> word) {
  buffer.clear();
  for (const char c : run) {
    switch (classes[static_cast<unsigned char>(c)]) {
      case AsciiClass::kLetter:
        buffer.push_back(options.lower_case ? absl::ascii_tolower(c) : c);
        break;
      case AsciiClass::kPunctuation:
        if (!buffer.empty()) word(buffer);
        buffer.clear();
        word({&c, 1});
        break;
      case AsciiClass::kDropped:
      case AsciiClass::kSpace:
        break;
    }
  }
  if (!buffer.empty()) word(buffer);
}

}  // namespace

// Normalization steps never look past an ASCII character that is kept: it is decomposed already, and no mark moves over it.
// Only the parts between such characters need Unicode properties, and most texts have few.
std::string NormalizeForBert(std::string_view utf8, const BertOptions& options) {
  const AsciiClasses& classes = options.clean ? kCleaned : kAsItIs;
  const auto stays = [&](char c) {
    return IsAscii(c) && classes[static_cast<unsigned char>(c)] != AsciiClass::kDropped;
  };
  std::string text;
  text.reserve(utf8.size());
  for (size_t i = 0; i < utf8.size();) {
    const char c = utf8[i];
    if (stays(c)) {
      const bool space = options.clean && classes[static_cast<unsigned char>(c)] == AsciiClass::kSpace;
      text.push_back(space ? ' ' : options.lower_case ? absl::ascii_tolower(c) : c);
      ++i;
      continue;
    }
    const size_t begin = i;
    while (i < utf8.size() && !stays(utf8[i])) ++i;
    AppendNormalized(utf8.substr(begin, i - begin), options, text);
  }
  return text;
}

void SplitForBert(std::string_view text, absl::FunctionRef<void(std::string_view word)> word) {
  size_t begin = 0;
  const auto flush = [&](size_t end) {
    if (end > begin) word(text.substr(begin, end - begin));
  };
  for (size_t i = 0; i < text.size();) {
    const size_t here = i;
    bool space, punctuation;
    if (IsAscii(text[i])) {
      const AsciiClass kind = kAsItIs[static_cast<unsigned char>(text[i++])];
      space = kind == AsciiClass::kSpace;
      punctuation = kind == AsciiClass::kPunctuation;
    } else {
      const UChar32 c = NextCodePoint(text, i);
      space = IsWhiteSpace(c);
      punctuation = !space && IsBertPunctuation(c);
    }
    if (!space && !punctuation) continue;
    flush(here);
    if (punctuation) word(text.substr(here, i - here));
    begin = i;
  }
  flush(text.size());
}

// Cuts at ASCII white space, which no normalization step looks across. Pure ASCII parts then need no Unicode
// properties, and they make up most of a typical text.
void ForEachBertWord(std::string_view utf8, const BertOptions& options,
                     absl::FunctionRef<void(std::string_view word)> word) {
  const AsciiClasses& classes = options.clean ? kCleaned : kAsItIs;
  std::string buffer;
  for (size_t i = 0; i < utf8.size();) {
    const size_t begin = i;
    bool ascii = true;
    while (i < utf8.size()) {
      const auto c = static_cast<unsigned char>(utf8[i]);
      if (c >= 0x80) {
        ascii = false;
      } else if (classes[c] == AsciiClass::kSpace) {
        break;
      }
      ++i;
    }
    const std::string_view run = utf8.substr(begin, i - begin);
    ++i;
    if (ascii) {
      ForEachWordOfAscii(run, options, classes, buffer, word);
    } else {
      SplitForBert(NormalizeForBert(run, options), word);
    }
  }
}

}  // namespace muster
