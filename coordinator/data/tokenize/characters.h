// How Hugging Face's tokenizers 0.23 classifies characters.
//
// Its Rust crates have tables of different versions: BERT's general categories are of Unicode 8, normalization is of
// Unicode 9, regular expressions are of Unicode 16, lower case and digits are of Unicode 17. This uses ICU's
// properties, limited or extended to those versions, with the few exceptions that a comparison of all 1,112,064 code
// points showed (tests/long/tokenizer_parity.py repeats it).
#pragma once

#include <unicode/umachine.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace muster {

enum class CharacterClass { kOther, kDropped, kSpace, kIdeograph };

// How BERT's cleaning treats a character: drops it, replaces it with a space, sets it apart by spaces, or keeps it.
CharacterClass Classify(UChar32 c);
bool IsBertIdeograph(UChar32 c);
bool IsBertPunctuation(UChar32 c);
// A nonspacing mark of BERT's normalizer.
bool IsAccent(UChar32 c);
// A mark of the normalizer StripAccents.
bool IsCombiningMark(UChar32 c);
// A character newer than the tables: normalization neither changes it nor moves another character across it.
bool IsInertInNormalization(UChar32 c);
// Appends the lower case of `c`, which may be two characters.
void AppendLowerCase(UChar32 c, std::string& out);
bool IsNumeric(UChar32 c);  // of the pre-tokenizer Digits

// A character of Unicode 15 with the same category and length in UTF-8: for characters that the tokenizers' regular expressions
// know but ICU does not. Otherwise `c` itself.
UChar32 StandIn(UChar32 c);
// `text` with placeholders; every character keeps its place.
std::string WithStandIns(std::string_view text);

// Classes of regular expressions, of Unicode 16.
enum RegexClass : uint8_t { kLetter = 1, kNumber = 2, kSpace = 4, kWord = 8 };
// Any of the bits above.
uint8_t RegexClassesOf(UChar32 c);
inline bool IsWhiteSpace(UChar32 c) { return (RegexClassesOf(c) & kSpace) != 0; }

}  // namespace muster
