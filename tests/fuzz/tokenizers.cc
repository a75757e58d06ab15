// Hostile tokenizer files and texts. Laws: every id is in the vocabulary; equal texts give equal ids; where a tokenizer
// says that it splits after a prompt, the ids of prompt and text are the ids of both together.
#include "coordinator/data/tokenize/tokenizer_files.h"

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/fuzz/byte_source.h"
#include "tests/fuzz/check.h"

namespace muster {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"tokenizer.json", "vocab.txt", "sentencepiece.bpe.model",
                                                    "tokenizer_config.json"};

// Small tokenizers of each kind, for texts.
constexpr std::array<std::string_view, 5> kFixed = {
    R"({"normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "added_tokens": [{"id": 0, "content": "[M]", "lstrip": true, "single_word": true}],
        "model": {"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 5, "vocab": {"?": 0, "a": 1, "##a": 2, "##b": 3, "[M]": 4}}})",
    R"({"normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ã": 4, "©": 5, "Ã©": 6},
                  "merges": ["a b", "Ã ©"]}})",
    R"({"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"},
          {"type": "Replace", "pattern": {"String": " "}, "content": "_"}, {"type": "Strip"}]},
        "added_tokens": [{"id": 9, "content": "a b", "normalized": true, "rstrip": true}],
        "model": {"type": "BPE", "unk_token": "?", "byte_fallback": true, "fuse_unk": true,
                  "vocab": {"?": 0, "_": 1, "a": 2, "_a": 3, "<0xC3>": 4, "<0xA9>": 5}, "merges": [["_", "a"]]}})",
    R"({"normalizer": {"type": "NFKD"}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
          {"type": "Split", "pattern": {"Regex": "[0-9]|\\s+"}, "behavior": "MergedWithNext", "invert": false},
          {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": true}]},
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": true,
                  "vocab": [["?", 0], ["_", -1.5], ["a", -2], ["_a", -2.25], ["aa", -3], ["<0x0A>", -9]]}})",
    R"({"normalizer": {"type": "Sequence", "normalizers": [{"type": "Nmt"}, {"type": "NFD"}, {"type": "StripAccents"},
          {"type": "Lowercase"}]}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"},
          {"type": "Digits"}, {"type": "Punctuation", "behavior": "Contiguous"}]},
        "model": {"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "",
                  "max_input_chars_per_word": 3, "vocab": {"?": 0, "a": 1, "b": 2, "ab": 3}}})"};

void Check(const Tokenizer& tokenizer, std::string_view text, std::string_view prompt) {
  std::vector<uint32_t> ids, again;
  const bool read = tokenizer.Encode(text, ids).ok();
  FUZZ_CHECK(tokenizer.Encode(text, again).ok() == read, "equal texts, one is refused");
  FUZZ_CHECK(ids == again, "equal texts, other ids");
  for (const std::vector<uint32_t>* list : {&std::as_const(ids), &tokenizer.prefix(), &tokenizer.suffix()}) {
    for (const uint32_t id : *list) FUZZ_CHECK(id < tokenizer.vocabulary_size(), "an id that is not in the vocabulary");
  }
  if (!read || !tokenizer.SplitsAfter(prompt)) return;
  std::vector<uint32_t> apart, together;
  const bool both_read = tokenizer.Encode(prompt, apart).ok() && tokenizer.Encode(text, apart).ok();
  FUZZ_CHECK(tokenizer.Encode(std::string(prompt) + std::string(text), together).ok() == both_read && apart == together,
             "a prompt that is joined to the text");
}

const Tokenizer& Fixed(size_t kind) {
  static const auto tokenizers = [] {
    std::vector<std::shared_ptr<const Tokenizer>> all;
    for (const std::string_view json : kFixed) {
      all.push_back(ReadTokenizer([json](std::string_view name) -> absl::StatusOr<std::optional<std::string>> {
                      return name == "tokenizer.json" ? std::optional<std::string>(json) : std::nullopt;
                    }).value());
    }
    return all;
  }();
  return *tokenizers[kind % tokenizers.size()];
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  muster::ByteSource source(data, size);
  const bool own = source.Coin();
  if (!own) {
    const size_t kind = source.Coin() + 2 * source.Coin() + 2 * source.Coin();
    const std::string prompt = source.Bytes();
    muster::Check(muster::Fixed(kind), source.Rest(), prompt + " ");
    return 0;
  }
  std::array<std::optional<std::string>, muster::kNames.size()> files;
  for (auto& file : files) {
    if (source.Coin()) file = source.Bytes();
  }
  const std::string_view text = source.Rest();
  const auto read = [&](std::string_view name) -> absl::StatusOr<std::optional<std::string>> {
    for (size_t i = 0; i < files.size(); ++i) {
      if (muster::kNames[i] == name) return files[i];
    }
    return std::nullopt;
  };
  if (const auto tokenizer = muster::ReadTokenizer(read); tokenizer.ok()) muster::Check(**tokenizer, text, "a: ");
  return 0;
}
