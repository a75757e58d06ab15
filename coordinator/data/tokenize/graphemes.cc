#include "coordinator/data/tokenize/graphemes.h"

#include <unicode/uchar.h>

#include "coordinator/data/tokenize/characters.h"
#include "coordinator/data/tokenize/utf8.h"

namespace muster {
namespace {

UGraphemeClusterBreak BreakOf(UChar32 c) {
  return static_cast<UGraphemeClusterBreak>(u_getIntPropertyValue(StandIn(c), UCHAR_GRAPHEME_CLUSTER_BREAK));
}

bool IsControl(UGraphemeClusterBreak value) {
  return value == U_GCB_CONTROL || value == U_GCB_CR || value == U_GCB_LF;
}

bool HangulContinues(UGraphemeClusterBreak left, UGraphemeClusterBreak right) {
  switch (left) {
    case U_GCB_L: return right == U_GCB_L || right == U_GCB_V || right == U_GCB_LV || right == U_GCB_LVT;
    case U_GCB_LV:
    case U_GCB_V: return right == U_GCB_V || right == U_GCB_T;
    case U_GCB_LVT:
    case U_GCB_T: return right == U_GCB_T;
    default: return false;
  }
}

}  // namespace

size_t EndOfGrapheme(std::string_view text, size_t begin) {
  size_t end = begin;
  UChar32 c = NextCodePoint(text, end);
  UGraphemeClusterBreak left = BreakOf(c);
  bool pictograph = u_hasBinaryProperty(c, UCHAR_EXTENDED_PICTOGRAPHIC);  // so far, followed only by extenders
  bool joined = false;                                                    // by a joiner after a pictograph
  int regional = left == U_GCB_REGIONAL_INDICATOR ? 1 : 0;
  while (end < text.size()) {
    size_t next = end;
    c = NextCodePoint(text, next);
    const UGraphemeClusterBreak right = BreakOf(c);
    if (left == U_GCB_CR && right == U_GCB_LF) return next;
    if (IsControl(left) || IsControl(right)) return end;
    const bool is_pictograph = u_hasBinaryProperty(c, UCHAR_EXTENDED_PICTOGRAPHIC);
    const bool continues = right == U_GCB_EXTEND || right == U_GCB_ZWJ || right == U_GCB_SPACING_MARK ||
                           left == U_GCB_PREPEND || HangulContinues(left, right) || (joined && is_pictograph) ||
                           (regional == 1 && right == U_GCB_REGIONAL_INDICATOR);
    if (!continues) return end;
    joined = pictograph && right == U_GCB_ZWJ;
    pictograph = is_pictograph || (pictograph && (right == U_GCB_EXTEND || right == U_GCB_ZWJ));
    regional = right == U_GCB_REGIONAL_INDICATOR ? regional + 1 : 0;
    left = right;
    end = next;
  }
  return end;
}

}  // namespace muster
