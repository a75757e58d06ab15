#include "coordinator/data/tokenize/pattern.h"

#include <unicode/regex.h>
#include <unicode/unistr.h>
#include <unicode/utf16.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status.h"
#include "common/view.h"
#include "coordinator/data/tokenize/characters.h"
#include "coordinator/data/tokenize/utf8.h"
#include "coordinator/data/tokenize/word_patterns.h"

namespace muster {
namespace {

class Literal : public Pattern {
 public:
  explicit Literal(std::string literal) : literal_(std::move(literal)) {}
  absl::Status ForEachMatch(std::string_view text, absl::FunctionRef<void(size_t, size_t)> match) const override {
    if (literal_.empty()) return absl::OkStatus();
    for (size_t i = text.find(literal_); i != std::string_view::npos; i = text.find(literal_, i + literal_.size())) {
      match(i, i + literal_.size());
    }
    return absl::OkStatus();
  }

 private:
  const std::string literal_;
};

// A character repeated at least this many times, as in patterns for sequences of blanks.
class Repeated : public Pattern {
 public:
  Repeated(std::string character, size_t least) : character_(std::move(character)), least_(least) {}
  absl::Status ForEachMatch(std::string_view text, absl::FunctionRef<void(size_t, size_t)> match) const override {
    for (size_t i = text.find(character_); i != std::string_view::npos; i = text.find(character_, i)) {
      const size_t begin = i;
      while (text.substr(i).starts_with(character_)) i += character_.size();
      if (i - begin >= least_ * character_.size()) match(begin, i);
    }
    return absl::OkStatus();
  }

 private:
  const std::string character_;
  const size_t least_;
};

// X+ or X{N,}, for a literal character X. Null: another pattern.
std::unique_ptr<const Pattern> RepeatedPattern(std::string_view regex) {
  if (regex.empty() || !IsUtf8(regex) || std::string_view(R"(\.[](){}*+?|^$)").find(regex[0]) != std::string_view::npos) {
    return nullptr;
  }
  size_t size = 0;
  NextCodePoint(regex, size);
  const std::string character(regex.substr(0, size));
  absl::string_view quantifier = ToAbsl(regex.substr(size));
  if (quantifier == "+") return std::make_unique<Repeated>(character, 1);
  uint32_t least = 0;
  if (!absl::ConsumePrefix(&quantifier, "{") || !absl::ConsumeSuffix(&quantifier, ",}") ||
      !std::ranges::all_of(quantifier, absl::ascii_isdigit) || !absl::SimpleAtoi(quantifier, &least) || least < 1) {
    return nullptr;
  }
  return std::make_unique<Repeated>(character, least);
}

// The limit of ICU's engine for one text, in steps of about a millisecond, so that a hostile pattern does not hang the
// server.
constexpr int32_t kMostSteps = 10000;

class Icu : public Pattern {
 public:
  Icu(std::string source, std::unique_ptr<const icu::RegexPattern> regex)
      : source_(std::move(source)), regex_(std::move(regex)) {}
  absl::Status ForEachMatch(std::string_view text, absl::FunctionRef<void(size_t, size_t)> match) const override {
    UErrorCode error = U_ZERO_ERROR;
    const icu::UnicodeString utf16 = icu::UnicodeString::fromUTF8(WithStandIns(text));
    const std::unique_ptr<icu::RegexMatcher> matcher(regex_->matcher(utf16, error));
    // Placeholders are as long as what they replace, in UTF-8 and in UTF-16.
    int32_t utf16_at = 0;
    size_t utf8_at = 0;
    const auto utf8_index = [&](int32_t index) {
      while (utf16_at < index) {
        const UChar32 c = utf16.char32At(utf16_at);
        utf16_at += U16_LENGTH(c);
        utf8_at += U8_LENGTH(c);
      }
      return utf8_at;
    };
    if (U_SUCCESS(error)) matcher->setTimeLimit(kMostSteps, error);
    while (U_SUCCESS(error) && matcher->find(error)) {
      const int32_t start = matcher->start(error), end = matcher->end(error);
      if (end == start) continue;
      const size_t begin = utf8_index(start);
      match(begin, utf8_index(end));
    }
    if (U_SUCCESS(error)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "the pattern \"", source_, "\" of tokenizer.json exceeds the limits of regular expressions behind byte ", utf8_at,
        " (", u_errorName(error), "). Shorten the text, or simplify the pattern."));
  }

 private:
  const std::string source_;
  const std::unique_ptr<const icu::RegexPattern> regex_;
};

absl::Status CannotRead(std::string_view regex, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("the pattern \"", ToAbsl(regex), "\" is not supported: ", ToAbsl(what)));
}

// Oniguruma's \w, which counts some superscripts and fractions.
constexpr std::string_view kWordSet = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u00B2\u00B3\u00B9\u00BC-\u00BE)";

// The same pattern for ICU. Refuses constructs that ICU interprets differently.
absl::StatusOr<std::string> ForIcu(const std::string& regex) {
  std::string result;
  int depth = 0;  // of brackets
  for (size_t i = 0; i < regex.size(); ++i) {
    const char c = regex[i];
    if (c == '\\') {
      if (++i == regex.size()) return CannotRead(regex, "it ends with a backslash");
      const char escaped = regex[i];
      constexpr std::string_view kKnown = "sSdDpPrntfv";
      if (escaped == 'w' || (escaped == 'W' && depth == 0)) {
        absl::StrAppend(&result, depth > 0 ? "" : escaped == 'w' ? "[" : "[^", ToAbsl(kWordSet), depth > 0 ? "" : "]");
      } else if (kKnown.find(escaped) != std::string_view::npos || !std::isalnum(static_cast<unsigned char>(escaped))) {
        result += {'\\', escaped};
      } else if (escaped == 'u' || escaped == 'x') {
        result += {'\\', escaped};
      } else {
        return CannotRead(regex, std::string{'\\', escaped});
      }
      continue;
    }
    if (c == '[') ++depth;
    if (c == ']' && depth > 0) --depth;
    const bool negates = c == '^' && i > 0 && regex[i - 1] == '[';
    if (c == '$' || (c == '^' && !negates)) return CannotRead(regex, std::string{'"', c, '"'});
    if (depth > 0 && (c == '-' || c == '&') && i + 1 < regex.size() && regex[i + 1] == c) {
      return CannotRead(regex, absl::StrCat("\"", regex.substr(i, 2), "\" in brackets"));
    }
    result.push_back(c);
  }
  return result;
}

}  // namespace

std::unique_ptr<const Pattern> LiteralPattern(std::string literal) {
  return std::make_unique<Literal>(std::move(literal));
}

absl::StatusOr<std::unique_ptr<const Pattern>> IcuPattern(const std::string& regex) {
  ASSIGN_OR_RETURN(const std::string pattern, ForIcu(regex));
  UErrorCode error = U_ZERO_ERROR;
  UParseError where;
  std::unique_ptr<const icu::RegexPattern> compiled(
      icu::RegexPattern::compile(icu::UnicodeString::fromUTF8(pattern), UREGEX_UNIX_LINES, where, error));
  if (U_FAILURE(error)) return CannotRead(regex, u_errorName(error));
  const icu::UnicodeString empty;
  const std::unique_ptr<icu::RegexMatcher> matcher(compiled->matcher(empty, error));
  if (U_FAILURE(error)) return CannotRead(regex, u_errorName(error));
  if (matcher->find()) return CannotRead(regex, "it matches the empty text");
  return std::make_unique<Icu>(regex, std::move(compiled));
}

absl::StatusOr<std::unique_ptr<const Pattern>> RegexPattern(const std::string& regex) {
  if (auto words = WordPattern(regex); words != nullptr) return words;
  if (auto repeated = RepeatedPattern(regex); repeated != nullptr) return repeated;
  return IcuPattern(regex);
}

absl::StatusOr<std::unique_ptr<const Pattern>> ReadPattern(const JsonObject& json) {
  ASSIGN_OR_RETURN(const JsonObject object, json.Object("pattern"));
  RETURN_IF_ERROR(object.RefuseOthers({"String", "Regex"}));
  if (object.Find("String") != nullptr) {
    ASSIGN_OR_RETURN(std::string literal, object.String("String"));
    if (literal.empty()) return object.Error("String", "must not be empty");
    return LiteralPattern(std::move(literal));
  }
  ASSIGN_OR_RETURN(const std::string regex, object.String("Regex"));
  auto pattern = RegexPattern(regex);
  if (!pattern.ok()) return json.Error("pattern", ToStd(pattern.status().message()));
  return pattern;
}

}  // namespace muster
