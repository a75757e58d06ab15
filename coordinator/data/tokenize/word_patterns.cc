#include "coordinator/data/tokenize/word_patterns.h"

#include "coordinator/data/tokenize/characters.h"
#include "coordinator/data/tokenize/utf8.h"

namespace muster {

const char kGpt2Pattern[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

#define MUSTER_WORDS(digits)                                                            \
  R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})" digits               \
  R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
const char kQwen2Pattern[] = MUSTER_WORDS("");
const char kCl100kPattern[] = MUSTER_WORDS("{1,3}");
#undef MUSTER_WORDS

namespace {


enum class Kind { kLetter, kNumber, kSpace, kOther, kEnd };

// Walks over a text, one character at a time.
class Cursor {
 public:
  Cursor(std::string_view text, size_t at) : text_(text), next_(at) { Advance(); }
  Kind kind() const { return kind_; }
  UChar32 character() const { return character_; }
  size_t begin() const { return begin_; }  // of the character
  size_t end() const { return next_; }     // after it
  void Advance() {
    begin_ = next_;
    if (next_ >= text_.size()) {
      kind_ = Kind::kEnd;
      character_ = -1;
      return;
    }
    character_ = NextCodePoint(text_, next_);
    const uint8_t classes = RegexClassesOf(character_);
    kind_ = (classes & kLetter) != 0   ? Kind::kLetter
            : (classes & kNumber) != 0 ? Kind::kNumber
            : (classes & kSpace) != 0  ? Kind::kSpace
                                       : Kind::kOther;
  }
  // Skips characters of this kind, at most `most`; returns where the rest begins.
  size_t Skip(Kind kind, size_t most = SIZE_MAX) {
    for (; most > 0 && kind_ == kind; --most) Advance();
    return begin_;
  }
  size_t SkipLineEnds() {
    while (character_ == '\r' || character_ == '\n') Advance();
    return begin_;
  }

 private:
  std::string_view text_;
  size_t begin_ = 0, next_;
  UChar32 character_ = -1;
  Kind kind_ = Kind::kEnd;
};

// Bytes of 's, 't, 're, 've, 'm, 'll, 'd at the start of `rest`, or 0. In any case, "ſ" (U+017F) is an s.
size_t Contraction(std::string_view rest, bool any_case) {
  if (rest.size() < 2 || rest[0] != '\'') return 0;
  const auto lower = [&](size_t i) -> char {
    const char c = rest[i];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  switch (lower(1)) {
    case 's': case 't': case 'm': case 'd': return 2;
    case 'r': case 'v': return rest.size() > 2 && lower(2) == 'e' ? 3 : 0;
    case 'l': return rest.size() > 2 && lower(2) == 'l' ? 3 : 0;
    default: return any_case && rest.substr(1).starts_with("\xC5\xBF") ? 3 : 0;
  }
}

// \s+(?!\S)|\s+ : white space from `begin` on, except its last character if a word follows.
size_t EndOfSpace(std::string_view text, size_t begin) {
  Cursor cursor(text, begin);
  size_t last = begin;
  while (cursor.kind() == Kind::kSpace) {
    last = cursor.begin();
    cursor.Advance();
  }
  return cursor.kind() == Kind::kEnd || last == begin ? cursor.begin() : last;
}

// Splits into adjacent words: `end_of`(begin) is the end of the word that begins at `begin`.
template <typename EndOf>
absl::Status ForEachWord(std::string_view text, absl::FunctionRef<void(size_t, size_t)> match, const EndOf& end_of) {
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = end_of(begin);
    match(begin, end);
    begin = end;
  }
  return absl::OkStatus();
}

class Gpt2Words : public Pattern {
 public:
  absl::Status ForEachMatch(std::string_view text, absl::FunctionRef<void(size_t, size_t)> match) const override {
    return ForEachWord(text, match, [&](size_t begin) { return End(text, begin); });
  }

 private:
  static size_t End(std::string_view text, size_t begin) {
    if (const size_t size = Contraction(text.substr(begin), /*any_case=*/false); size > 0) return begin + size;
    Cursor cursor(text, begin);
    if (cursor.character() == ' ') cursor.Advance();
    if (cursor.kind() == Kind::kSpace || cursor.kind() == Kind::kEnd) return EndOfSpace(text, begin);
    return cursor.Skip(cursor.kind());
  }
};

// The words of Qwen2 and cl100k, which differ in how many digits stay together.
class Cl100kWords : public Pattern {
 public:
  explicit Cl100kWords(size_t most_digits) : most_digits_(most_digits) {}
  absl::Status ForEachMatch(std::string_view text, absl::FunctionRef<void(size_t, size_t)> match) const override {
    return ForEachWord(text, match, [&](size_t begin) { return End(text, begin); });
  }

 private:
  size_t End(std::string_view text, size_t begin) const {
    if (const size_t size = Contraction(text.substr(begin), /*any_case=*/true); size > 0) return begin + size;
    Cursor cursor(text, begin);
    if (cursor.kind() == Kind::kLetter) return cursor.Skip(Kind::kLetter);
    if (cursor.kind() == Kind::kNumber) return cursor.Skip(Kind::kNumber, most_digits_);
    const UChar32 first = cursor.character();
    const Kind kind = cursor.kind();
    if (first == '\r' || first == '\n') return EndOfLines(text, begin);
    cursor.Advance();
    if (cursor.kind() == Kind::kLetter) return cursor.Skip(Kind::kLetter);
    if (kind == Kind::kOther || (first == ' ' && cursor.kind() == Kind::kOther)) {
      cursor.Skip(Kind::kOther);
      return cursor.SkipLineEnds();
    }
    return EndOfLines(text, begin);
  }

  // \s*[\r\n]+|\s+(?!\S)|\s+
  static size_t EndOfLines(std::string_view text, size_t begin) {
    size_t line_end = begin;
    for (Cursor cursor(text, begin); cursor.kind() == Kind::kSpace; cursor.Advance()) {
      if (cursor.character() == '\r' || cursor.character() == '\n') line_end = cursor.end();
    }
    return line_end > begin ? line_end : EndOfSpace(text, begin);
  }

  const size_t most_digits_;
};

}  // namespace

std::unique_ptr<const Pattern> WordPattern(std::string_view regex) {
  if (regex == kGpt2Pattern) return std::make_unique<Gpt2Words>();
  if (regex == kQwen2Pattern) return std::make_unique<Cl100kWords>(1);
  if (regex == kCl100kPattern) return std::make_unique<Cl100kWords>(3);
  return nullptr;
}

}  // namespace muster
