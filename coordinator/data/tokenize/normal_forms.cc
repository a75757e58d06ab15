#include "coordinator/data/tokenize/normal_forms.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "coordinator/data/tokenize/characters.h"
#include "coordinator/data/tokenize/utf8.h"

namespace muster {
namespace {

// Lives as long as the process; ICU's library owns the data.
const icu::Normalizer2& Instance(NormalForm form) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* instance = nullptr;
  switch (form) {
    case NormalForm::kNfc: instance = icu::Normalizer2::getNFCInstance(error); break;
    case NormalForm::kNfd: instance = icu::Normalizer2::getNFDInstance(error); break;
    case NormalForm::kNfkc: instance = icu::Normalizer2::getNFKCInstance(error); break;
    case NormalForm::kNfkd: instance = icu::Normalizer2::getNFKDInstance(error); break;
  }
  if (U_FAILURE(error)) std::abort();
  return *instance;
}

// Appends the normal form of `text`, processed as a whole.
void AppendNormalized(const icu::Normalizer2& normalizer, std::string_view text, std::string& result) {
  icu::StringByteSink<std::string> sink(&result);
  UErrorCode error = U_ZERO_ERROR;
  const auto append = [&](std::string_view part) {
    normalizer.normalizeUTF8(0, icu::StringPiece(part.data(), static_cast<int32_t>(part.size())), sink, nullptr, error);
  };
  size_t start = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    if (IsAscii(text[i])) {
      ++i;
      continue;
    }
    if (!IsInertInNormalization(NextCodePoint(text, i))) continue;
    append(text.substr(start, begin - start));
    result.append(text, begin, i - begin);
    start = i;
  }
  append(text.substr(start));
  if (U_FAILURE(error)) std::abort();  // only if memory is exhausted
}

}  // namespace

// An ASCII character is in every normal form, and no mark moves over it. It can only be composed with the marks after
// it. So each run of other characters, together with the ASCII character before it, is normalized by itself.
void Normalize(NormalForm form, std::string& text) {
  const auto ascii_until = [&](size_t i) {
    while (i < text.size() && IsAscii(text[i])) ++i;
    return i;
  };
  size_t begin = ascii_until(0);
  if (begin == text.size()) return;
  const icu::Normalizer2& normalizer = Instance(form);
  std::string result;
  result.reserve(text.size());
  size_t done = 0;
  while (begin < text.size()) {
    size_t end = begin;
    while (end < text.size() && !IsAscii(text[end])) ++end;
    if (begin > done) --begin;
    result.append(text, done, begin - done);
    AppendNormalized(normalizer, std::string_view(text).substr(begin, end - begin), result);
    done = end;
    begin = ascii_until(end);
  }
  result.append(text, done);
  text = std::move(result);
}

}  // namespace muster
