#include "coordinator/data/tokenize/characters.h"

#include <unicode/uchar.h>

namespace muster {
namespace {

// Assigned in Unicode 8 or before: the age of the category tables.
bool IsOld(UChar32 c) {
  UVersionInfo age;
  u_charAge(c, age);
  return age[0] <= 8;
}

bool IsIdeograph(UChar32 c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

}  // namespace

CharacterClass Classify(UChar32 c) {
  if (c == ' ' || c == '\t' || c == '\n' || c == '\r') return CharacterClass::kSpace;
  if (c == 0 || c == 0xFFFD) return CharacterClass::kDropped;
  constexpr uint32_t kOthers = U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK;
  if ((U_GET_GC_MASK(c) & kOthers) != 0 && IsOld(c)) return CharacterClass::kDropped;
  if (u_isUWhiteSpace(c)) return CharacterClass::kSpace;
  return IsIdeograph(c) ? CharacterClass::kIdeograph : CharacterClass::kOther;
}

bool IsBertPunctuation(UChar32 c) {
  if (c < 0x80) return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  if (c == 0x166D || c == 0x111C9) return true;  // punctuation in Unicode 8, not any more
  return (U_GET_GC_MASK(c) & U_GC_P_MASK) != 0 && IsOld(c);
}

bool IsAccent(UChar32 c) {
  if (c == 0x1734) return true;  // a nonspacing mark in Unicode 8, not any more
  if (c == 0x1885 || c == 0x1886 || c == 0xA9BD || c == 0x111C9) return false;  // the other way round
  return u_charType(c) == U_NON_SPACING_MARK && IsOld(c);
}

bool IsNeverDecomposed(UChar32 c) { return c > 0xFFFF && !IsOld(c); }

UChar32 BertLowerCase(UChar32 c) {
  if (c >= 0x10D50 && c <= 0x10D65) return c + 0x20;  // these are newer than ICU 72
  if (c >= 0x16EA0 && c <= 0x16EB8) return c + 0x1B;
  switch (c) {
    case 0x1C89: return 0x1C8A;
    case 0xA7CB: return 0x0264;
    case 0xA7CC: return 0xA7CD;
    case 0xA7CE: return 0xA7CF;
    case 0xA7D2: return 0xA7D3;
    case 0xA7D4: return 0xA7D5;
    case 0xA7DA: return 0xA7DB;
    case 0xA7DC: return 0x019B;
  }
  return u_tolower(c);
}

}  // namespace muster
