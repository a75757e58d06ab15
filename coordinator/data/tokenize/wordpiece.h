// BERT's WordPiece tokenizer, with the token ids of Hugging Face's BertTokenizerFast.
//
// Text → ids: special tokens written in the text ("[MASK]") are cut out first, as they are; the rest is cleaned
// (control characters and U+FFFD dropped, whitespace made a space), CJK ideographs are set apart, and with
// `lower_case` it is decomposed (NFD), stripped of nonspacing marks and lowered; then it is split at spaces and around
// every punctuation character, and each word is cut into the longest entries of the vocabulary from its left.
// Source: huggingface/tokenizers, normalizers/bert.rs, pre_tokenizers/bert.rs, models/wordpiece/mod.rs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace muster {

// Thread-safe: immutable.
class WordPieceTokenizer {
 public:
  // `vocab_txt`: the bytes of vocab.txt, one entry a line, the line's number (from 0) is its id. INVALID_ARGUMENT if
  // [CLS], [SEP], [UNK] or [PAD] is missing, or the vocabulary is not UTF-8.
  static absl::StatusOr<std::shared_ptr<const WordPieceTokenizer>> FromVocabulary(std::string_view vocab_txt,
                                                                                  bool lower_case);
  ~WordPieceTokenizer();

  // Appends the text's ids, without [CLS] and [SEP]. Bytes that are not UTF-8 count as U+FFFD, which is dropped.
  void Encode(std::string_view utf8, std::vector<uint32_t>& ids) const;

  uint32_t cls() const { return cls_; }
  uint32_t sep() const { return sep_; }
  uint32_t unk() const { return unk_; }
  uint32_t pad() const { return pad_; }
  uint32_t vocabulary_size() const { return vocabulary_size_; }  // lines of vocab.txt
  // SHA-256 (hexadecimal) of the vocabulary's bytes and lower_case: equal digests give equal ids.
  const std::string& digest() const { return digest_; }

 private:
  struct Tables;
  explicit WordPieceTokenizer(std::unique_ptr<const Tables> tables);
  void EncodeSegment(std::string_view utf8, std::vector<uint32_t>& ids) const;
  void EncodeUnicodeRun(std::string_view utf8, std::vector<uint32_t>& ids) const;
  void EncodeWord(std::string_view word, std::vector<uint32_t>& ids) const;

  std::unique_ptr<const Tables> tables_;
  bool lower_case_ = true;
  uint32_t cls_ = 0, sep_ = 0, unk_ = 0, pad_ = 0, vocabulary_size_ = 0;
  std::string digest_;
};

}  // namespace muster
