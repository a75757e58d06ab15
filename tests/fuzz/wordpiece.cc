// Hostile texts and vocabularies. Laws: every id is in the vocabulary; equal texts give equal ids; the normal form of a
// text is valid UTF-8 and its own normal form.
#include "coordinator/data/tokenize/vocab_txt.h"

#include "coordinator/data/store/normalize.h"
#include "tests/fuzz/byte_source.h"
#include "tests/fuzz/check.h"

namespace muster {
namespace {

void Encode(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<uint32_t> ids, again;
  FUZZ_CHECK(tokenizer.Encode(text, ids).ok() && tokenizer.Encode(text, again).ok(), "a text that is refused");
  FUZZ_CHECK(ids == again, "equal texts, other ids");
  for (const uint32_t id : ids) FUZZ_CHECK(id < tokenizer.vocabulary_size(), "an id that is not in the vocabulary");
}

const Tokenizer& Fixed(bool lower_case) {
  static const auto make = [](bool lower) {
    std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    for (char c = '!'; c <= '~'; ++c) {
      vocabulary += std::string(1, c) + "\n##" + std::string(1, c) + "\n";
    }
    vocabulary += "the\n##ing\n\xC3\xA4\n##\xC3\xA4\n\xE4\xB8\x80\n";
    return TokenizerOfVocabulary(vocabulary, lower).value();
  };
  static const auto lower = make(true), cased = make(false);
  return lower_case ? *lower : *cased;
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  muster::ByteSource source(data, size);
  const bool lower_case = source.Coin();
  std::string vocabulary;
  if (source.Coin()) vocabulary = source.Bytes();
  const std::string_view text = source.Rest();
  muster::Encode(muster::Fixed(lower_case), text);
  if (!vocabulary.empty()) {
    const auto own = muster::TokenizerOfVocabulary(vocabulary, lower_case);
    if (own.ok()) muster::Encode(**own, text);
  }
  if (muster::FirstInvalidUtf8(text) != std::string::npos) return 0;
  const std::string normal = muster::NormalizeText(text);
  FUZZ_CHECK(muster::FirstInvalidUtf8(normal) == std::string::npos, "a normal form that is not UTF-8");
  FUZZ_CHECK(muster::NormalizeText(normal) == normal, "a normal form that is not normal");
  FUZZ_CHECK(muster::DigestOfPassage("", text) == muster::DigestOfPassage("", normal), "equal passages, other digests");
  return 0;
}
