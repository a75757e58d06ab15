#include "coordinator/data/tokenize/characters.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>
#include <memory>

#include "coordinator/data/tokenize/utf8.h"

namespace muster {
namespace {

uint8_t Age(UChar32 c) {
  UVersionInfo age;
  u_charAge(c, age);
  return age[0];
}

// Assigned in Unicode 8 or earlier: the version of BERT's categories.
bool IsOld(UChar32 c) { return Age(c) <= 8; }

// Characters that Unicode 16 added to Unicode 15, ICU 72's version, with a similar older character.
struct NewCharacters {
  UChar32 first, last, like;
};
constexpr NewCharacters kNew[] = {
    {0x0897, 0x0897, 0x1AB0},    {0x1B4E, 0x1B4F, 0x2016},    {0x1B7F, 0x1B7F, 0x2016},    {0x1C89, 0x1C89, 0x1E00},
    {0x1C8A, 0x1C8A, 0x1E01},    {0x2427, 0x2429, 0x2600},    {0x2FFC, 0x2FFF, 0x2600},    {0x31E4, 0x31E5, 0x2600},
    {0x31EF, 0x31EF, 0x2600},    {0xA7CB, 0xA7CC, 0x1E00},    {0xA7CD, 0xA7CD, 0x1E01},    {0xA7DA, 0xA7DA, 0x1E00},
    {0xA7DB, 0xA7DB, 0x1E01},    {0xA7DC, 0xA7DC, 0x1E00},    {0x105C0, 0x105F3, 0x10000}, {0x10D40, 0x10D49, 0x104A0},
    {0x10D4A, 0x10D4D, 0x10000}, {0x10D4E, 0x10D4E, 0x10780}, {0x10D4F, 0x10D4F, 0x10000}, {0x10D50, 0x10D65, 0x10400},
    {0x10D69, 0x10D6D, 0x101FD}, {0x10D6E, 0x10D6E, 0x10100}, {0x10D6F, 0x10D6F, 0x10780}, {0x10D70, 0x10D85, 0x10428},
    {0x10D8E, 0x10D8F, 0x1F600}, {0x10EC2, 0x10EC4, 0x10000}, {0x10EFC, 0x10EFC, 0x101FD}, {0x11380, 0x11389, 0x10000},
    {0x1138B, 0x1138B, 0x10000}, {0x1138E, 0x1138E, 0x10000}, {0x11390, 0x113B5, 0x10000}, {0x113B7, 0x113B7, 0x10000},
    {0x113B8, 0x113C0, 0x101FD}, {0x113C2, 0x113C2, 0x101FD}, {0x113C5, 0x113C5, 0x101FD}, {0x113C7, 0x113CA, 0x101FD},
    {0x113CC, 0x113D0, 0x101FD}, {0x113D1, 0x113D1, 0x10000}, {0x113D2, 0x113D2, 0x101FD}, {0x113D3, 0x113D3, 0x10000},
    {0x113D4, 0x113D5, 0x10100}, {0x113D7, 0x113D8, 0x10100}, {0x113E1, 0x113E2, 0x101FD}, {0x116D0, 0x116E3, 0x104A0},
    {0x11BC0, 0x11BE0, 0x10000}, {0x11BE1, 0x11BE1, 0x10100}, {0x11BF0, 0x11BF9, 0x104A0}, {0x11F5A, 0x11F5A, 0x101FD},
    {0x13460, 0x143FA, 0x10000}, {0x16100, 0x1611D, 0x10000}, {0x1611E, 0x1612F, 0x101FD}, {0x16130, 0x16139, 0x104A0},
    {0x16D40, 0x16D42, 0x10780}, {0x16D43, 0x16D6A, 0x10000}, {0x16D6B, 0x16D6C, 0x10780}, {0x16D6D, 0x16D6F, 0x10100},
    {0x16D70, 0x16D79, 0x104A0}, {0x18CFF, 0x18CFF, 0x10000}, {0x1CC00, 0x1CCEF, 0x1F600}, {0x1CCF0, 0x1CCF9, 0x104A0},
    {0x1CD00, 0x1CEB3, 0x1F600}, {0x1E5D0, 0x1E5ED, 0x10000}, {0x1E5EE, 0x1E5EF, 0x101FD}, {0x1E5F0, 0x1E5F0, 0x10000},
    {0x1E5F1, 0x1E5FA, 0x104A0}, {0x1E5FF, 0x1E5FF, 0x10100}, {0x1F8B2, 0x1F8BB, 0x1F600}, {0x1F8C0, 0x1F8C1, 0x1F600},
    {0x1FA89, 0x1FA89, 0x1F600}, {0x1FA8F, 0x1FA8F, 0x1F600}, {0x1FABE, 0x1FABE, 0x1F600}, {0x1FAC6, 0x1FAC6, 0x1F600},
    {0x1FADC, 0x1FADC, 0x1F600}, {0x1FADF, 0x1FADF, 0x1F600}, {0x1FAE9, 0x1FAE9, 0x1F600}, {0x1FBCB, 0x1FBEF, 0x1F600},
    {0x2EBF0, 0x2EE5D, 0x20000}};

constexpr UChar32 kCodePoints = 0x110000;
using ClassTable = std::array<uint8_t, kCodePoints>;

std::unique_ptr<const ClassTable> MakeClasses() {
  auto classes = std::make_unique<ClassTable>();
  for (UChar32 c = 0; c < kCodePoints; ++c) {
    const UChar32 like = StandIn(c);
    const uint32_t category = U_GET_GC_MASK(like);
    uint8_t bits = 0;
    if ((category & U_GC_L_MASK) != 0) bits |= kLetter;
    if ((category & U_GC_N_MASK) != 0) bits |= kNumber;
    if (u_isUWhiteSpace(like)) bits |= kSpace;
    if (u_hasBinaryProperty(like, UCHAR_ALPHABETIC) || u_hasBinaryProperty(like, UCHAR_JOIN_CONTROL) ||
        (category & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0) {
      bits |= kWord;
    }
    (*classes)[c] = bits;
  }
  return classes;
}

}  // namespace

UChar32 StandIn(UChar32 c) {
  if (c < kNew[0].first) return c;
  const auto* found = std::ranges::lower_bound(kNew, c, {}, &NewCharacters::last);
  return found != std::end(kNew) && found->first <= c ? found->like : c;
}

std::string WithStandIns(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) AppendUtf8(StandIn(NextCodePoint(text, i)), result);
  return result;
}

uint8_t RegexClassesOf(UChar32 c) {
  static const std::unique_ptr<const ClassTable> classes = MakeClasses();
  return (*classes)[c];
}

bool IsBertIdeograph(UChar32 c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

CharacterClass Classify(UChar32 c) {
  if (c == ' ' || c == '\t' || c == '\n' || c == '\r') return CharacterClass::kSpace;
  if (c == 0 || c == 0xFFFD) return CharacterClass::kDropped;
  constexpr uint32_t kOthers = U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK;
  if ((U_GET_GC_MASK(c) & kOthers) != 0 && IsOld(c)) return CharacterClass::kDropped;
  if (u_isUWhiteSpace(c)) return CharacterClass::kSpace;
  return IsBertIdeograph(c) ? CharacterClass::kIdeograph : CharacterClass::kOther;
}

bool IsBertPunctuation(UChar32 c) {
  if (c < 0x80) return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  if (c == 0x166D || c == 0x111C9) return true;  // punctuation in Unicode 8, but no longer
  return (U_GET_GC_MASK(c) & U_GC_P_MASK) != 0 && IsOld(c);
}

bool IsAccent(UChar32 c) {
  if (c == 0x1734) return true;  // a nonspacing mark in Unicode 8, but no longer
  if (c == 0x1885 || c == 0x1886 || c == 0xA9BD || c == 0x111C9) return false;  // not one in Unicode 8, but now
  return u_charType(c) == U_NON_SPACING_MARK && IsOld(c);
}

bool IsCombiningMark(UChar32 c) {
  if (c == 0x1CF2 || c == 0x1CF3) return true;  // marks in Unicode 9, but no longer
  return (U_GET_GC_MASK(c) & U_GC_M_MASK) != 0 && Age(c) <= 9 && c != 0x111C9;
}

bool IsInertInNormalization(UChar32 c) { return c >= 0x300 && Age(c) >= 10; }

bool IsNumeric(UChar32 c) {
  if ((c >= 0x11DE0 && c <= 0x11DE9) || (c >= 0x16FF4 && c <= 0x16FF6)) return true;  // Unicode 17
  return (RegexClassesOf(c) & kNumber) != 0;
}

void AppendLowerCase(UChar32 c, std::string& out) {
  const auto lower = [c]() -> UChar32 {
    if (c >= 0x10D50 && c <= 0x10D65) return c + 0x20;  // letters that are newer than ICU 72
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
  };
  AppendUtf8(lower(), out);
  if (c == 0x130) AppendUtf8(0x307, out);  // İ: the only one with two
}

}  // namespace muster
