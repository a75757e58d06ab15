#include "coordinator/data/store/normalize.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstring>

#include "common/digest.h"

namespace muster {
namespace {

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string ComposeNfc(std::string_view text) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(error);
  std::string composed;
  composed.reserve(text.size());
  icu::StringByteSink<std::string> sink(&composed);
  nfc->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink, nullptr, error);
  return composed;
}

std::string CollapseWhiteSpace(std::string_view text) {
  std::string collapsed;
  collapsed.reserve(text.size());
  const int32_t size = static_cast<int32_t>(text.size());
  bool pending = false;  // white space was seen since the last kept character
  for (int32_t position = 0; position < size;) {
    const int32_t begin = position;
    UChar32 character = 0;
    U8_NEXT(text.data(), position, size, character);
    if (character >= 0 && u_isUWhiteSpace(character)) {
      pending = !collapsed.empty();
      continue;
    }
    if (pending) collapsed.push_back(' ');
    pending = false;
    collapsed.append(text.substr(begin, position - begin));
  }
  return collapsed;
}

// A fast check that most texts pass: whether a text is in normal form because it is ASCII without control characters, and
// single spaces are its only white space. False if that is not certain. Checks eight bytes at once, of which the last is the
// next step's first, so that two adjacent spaces are found anywhere.
bool IsSurelyNormal(std::string_view text) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHigh = kOnes << 7;
  if (text.empty()) return true;
  if (text.front() == ' ' || text.back() == ' ') return false;
  uint64_t unusual = 0;
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 7) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + i, sizeof(word));
    const uint64_t other_than_space = word ^ kOnes * ' ';
    const uint64_t spaces = (other_than_space - kOnes) & ~other_than_space & kHigh;
    unusual |= (word & kHigh) | ((word - kOnes * ' ') & ~word & kHigh) | (spaces & spaces << 8);
  }
  unsigned char before = 'x';
  for (; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    unusual |= c >= 0x80 || c < ' ' || (c == ' ' && before == ' ');
    before = c;
  }
  return unusual == 0;
}

// The normal form; uses `buffer` if it differs from the text.
std::string_view NormalForm(std::string_view text, std::string& buffer) {
  if (IsSurelyNormal(text)) return text;
  return buffer = NormalizeText(text);
}

}  // namespace

std::string NormalizeText(std::string_view text) {
  return IsAscii(text) ? CollapseWhiteSpace(text) : CollapseWhiteSpace(ComposeNfc(text));
}

PassageDigest DigestOfPassage(std::string_view title, std::string_view body) {
  Sha256 sha;
  std::string buffer;
  sha.Update(NormalForm(title, buffer));
  sha.Update(std::string_view("\0", 1));
  sha.Update(NormalForm(body, buffer));
  return sha.Finish();
}

size_t FirstInvalidUtf8(std::string_view text) {
  const int32_t size = static_cast<int32_t>(text.size());
  for (int32_t position = 0; position < size;) {
    const int32_t begin = position;
    UChar32 character = 0;
    U8_NEXT(text.data(), position, size, character);
    if (character < 0) return static_cast<size_t>(begin);
  }
  return std::string_view::npos;
}

}  // namespace muster
