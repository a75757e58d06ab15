// Which characters BERT's tokenizer drops, sets apart, strips and lowers, as Hugging Face's tokenizers 0.23 sees them.
//
// Its Rust crates carry tables of different ages: general categories of Unicode 8, decompositions of before Unicode
// 13, lower case of Unicode 17. Here ICU's properties are asked, limited to characters of that age, with the few
// exceptions that a comparison of all 1,112,064 code points showed (tests/long/tokenizer_parity.py repeats it).
#pragma once

#include <unicode/umachine.h>

namespace muster {

enum class CharacterClass { kOther, kDropped, kSpace, kIdeograph };

// What cleaning makes of a character: dropped, a space, set apart by spaces, or left as it is.
CharacterClass Classify(UChar32 c);
bool IsBertPunctuation(UChar32 c);
// A nonspacing mark: stripped with the accents.
bool IsAccent(UChar32 c);
// Left alone by the decomposition, whatever ICU's newer tables say.
bool IsNeverDecomposed(UChar32 c);
UChar32 BertLowerCase(UChar32 c);

}  // namespace muster
