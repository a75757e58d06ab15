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

constexpr std::array<AsciiClass, 128> MakeAsciiClasses() {
  std::array<AsciiClass, 128> classes{};
  for (int c = 0; c < 128; ++c) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      classes[c] = AsciiClass::kSpace;
    } else if (c < 32 || c == 127) {
      classes[c] = AsciiClass::kDropped;
    } else if ((c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126)) {
      classes[c] = AsciiClass::kPunctuation;
    }
  }
  return classes;
}
constexpr std::array<AsciiClass, 128> kAscii = MakeAsciiClasses();

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

std::string StripAndLower(std::string text, const BertOptions& options) {
  if (options.strip_accents) Normalize(NormalForm::kNfd, text);
  if (!options.strip_accents && !options.lower_case) return text;
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const UChar32 c = NextCodePoint(text, i);
    if (options.strip_accents && IsAccent(c)) continue;
    if (options.lower_case) {
      AppendLowerCase(c, result);
    } else {
      AppendUtf8(c, result);
    }
  }
  return result;
}

void ForEachWordOfUnicode(std::string_view run, const BertOptions& options,
                          absl::FunctionRef<void(std::string_view)> word) {
  const std::string text = NormalizeForBert(run, /*clean=*/true, options);
  size_t begin = 0;
  const auto flush = [&](size_t end) {
    if (end > begin) word(std::string_view(text).substr(begin, end - begin));
  };
  for (size_t i = 0; i < text.size();) {
    const size_t here = i;
    const UChar32 c = NextCodePoint(text, i);
    if (c == ' ') {
      flush(here);
      begin = i;
    } else if (IsBertPunctuation(c)) {
      flush(here);
      begin = here;
      flush(i);
      begin = i;
    }
  }
  flush(text.size());
}

void ForEachWordOfAscii(std::string_view run, const BertOptions& options, std::string& buffer,
                        absl::FunctionRef<void(std::string_view)> word) {
  buffer.clear();
  for (const char c : run) {
    switch (kAscii[static_cast<unsigned char>(c)]) {
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

std::string NormalizeForBert(std::string_view utf8, bool clean, const BertOptions& options) {
  std::string text;
  const auto size = static_cast<int64_t>(utf8.size());
  for (int64_t i = 0; i < size;) {
    UChar32 c;
    U8_NEXT_OR_FFFD(utf8.data(), i, size, c);
    if (clean) {
      AppendCleaned(c, options.split_ideographs, text);
    } else if (options.split_ideographs && IsBertIdeograph(c)) {
      text.push_back(' ');
      AppendUtf8(c, text);
      text.push_back(' ');
    } else {
      AppendUtf8(c, text);
    }
  }
  return StripAndLower(std::move(text), options);
}

// Cuts at ASCII white space: no step of the normalization looks across it. What is ASCII throughout, which is most
// of most texts, then needs no Unicode properties.
void ForEachBertWord(std::string_view utf8, const BertOptions& options,
                     absl::FunctionRef<void(std::string_view word)> word) {
  std::string buffer;
  for (size_t i = 0; i < utf8.size();) {
    const size_t begin = i;
    bool ascii = true;
    while (i < utf8.size()) {
      const auto c = static_cast<unsigned char>(utf8[i]);
      if (c >= 0x80) {
        ascii = false;
      } else if (kAscii[c] == AsciiClass::kSpace) {
        break;
      }
      ++i;
    }
    const std::string_view run = utf8.substr(begin, i - begin);
    ++i;
    if (ascii) {
      ForEachWordOfAscii(run, options, buffer, word);
    } else {
      ForEachWordOfUnicode(run, options, word);
    }
  }
}

}  // namespace muster
