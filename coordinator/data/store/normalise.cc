#include "coordinator/data/store/normalise.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>

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
  bool pending = false;  // white space was seen since the last character that was kept
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

// Most texts are their own normal form: ASCII, in which single spaces are the only white space.
bool IsNormal(std::string_view text) {
  unsigned char before = ' ';
  unsigned unusual = 0;
  for (const char character : text) {
    const auto c = static_cast<unsigned char>(character);
    unusual |= (c & 0x80U) | static_cast<unsigned>(c - 9U < 5U) | (static_cast<unsigned>(c == ' ') & static_cast<unsigned>(before == ' '));
    before = c;
  }
  return unusual == 0 && (text.empty() || before != ' ');
}

// The normal form, in `buffer` where it is another text.
std::string_view NormalForm(std::string_view text, std::string& buffer) {
  if (IsNormal(text)) return text;
  return buffer = NormaliseText(text);
}

}  // namespace

std::string NormaliseText(std::string_view text) {
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
