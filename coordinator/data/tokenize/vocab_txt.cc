#include "coordinator/data/tokenize/vocab_txt.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status.h"
#include "coordinator/data/tokenize/pipeline.h"
#include "coordinator/data/tokenize/utf8.h"
#include "coordinator/data/tokenize/wordpiece.h"

namespace muster {
namespace {

std::string_view WithoutTrailingSpace(std::string_view line) {
  while (!line.empty() && absl::ascii_isspace(line.back())) line.remove_suffix(1);
  return line;
}

// Earlier versions only had the usual options, and existing stores and jobs refer to such tokenizers by these digests.
std::string DigestOf(std::string_view vocab_txt, const BertOptions& options) {
  std::string kind;
  if (options == BertOptions{true, true, true}) {
    kind = "wordpiece uncased\n";
  } else if (options == BertOptions{true, false, false}) {
    kind = "wordpiece cased\n";
  } else {
    kind = absl::StrCat("wordpiece", options.split_ideographs ? " ideographs" : "",
                        options.strip_accents ? " accents" : "", options.lower_case ? " lower" : "", "\n");
  }
  return Sha256Hex(absl::StrCat(kind, std::string(vocab_txt)));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Tokenizer>> TokenizerOfVocabulary(std::string_view vocab_txt,
                                                                       const BertOptions& options,
                                                                       bool truncates_left) {
  if (vocab_txt.size() > INT32_MAX || !IsUtf8(vocab_txt)) {
    return absl::InvalidArgumentError("vocab.txt: not UTF-8 text. Give the vocabulary of a BERT model.");
  }
  Vocabulary vocabulary;
  uint32_t id = 0;
  for (size_t begin = 0; begin < vocab_txt.size(); ++id) {
    const size_t end = std::min(vocab_txt.find('\n', begin), vocab_txt.size());
    vocabulary.Add(std::string(WithoutTrailingSpace(vocab_txt.substr(begin, end - begin))), id);
    begin = end + 1;
  }
  Tokenizer::Facts facts;
  Pipeline::Parts parts;
  for (const char* special : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
    const auto found = vocabulary.Find(special);
    if (found.has_value()) {
      parts.added.push_back({.id = *found, .content = special, .special = true});
      facts.special.push_back(*found);
    } else if (special != std::string_view("[MASK]")) {
      return absl::InvalidArgumentError(
          absl::StrCat("vocab.txt: no entry ", special, ". Give the vocabulary of a BERT model."));
    }
  }
  std::ranges::sort(facts.special);
  facts.prefix = {*vocabulary.Find("[CLS]")};
  facts.suffix = {*vocabulary.Find("[SEP]")};
  facts.pad = *vocabulary.Find("[PAD]");
  facts.truncates_left = truncates_left;
  facts.vocabulary_size = id;
  facts.digest = DigestOf(vocab_txt, options);
  parts.bert = options;
  ASSIGN_OR_RETURN(parts.model, WordPiece::Create(std::move(vocabulary), {}));
  return std::make_shared<Pipeline>(std::move(parts), std::move(facts));
}

absl::StatusOr<std::shared_ptr<const Tokenizer>> TokenizerOfVocabulary(std::string_view vocab_txt, bool lower_case) {
  return TokenizerOfVocabulary(vocab_txt, BertOptions{.strip_accents = lower_case, .lower_case = lower_case});
}

}  // namespace muster
