#include "coordinator/data/tokenize/pipeline.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "coordinator/data/tokenize/utf8.h"
#include "coordinator/data/tokenize/word_cache.h"

namespace muster {
namespace {

std::vector<AddedToken> Select(const std::vector<AddedToken>& tokens, bool normalized) {
  std::vector<AddedToken> selected;
  std::ranges::copy_if(tokens, std::back_inserter(selected),
                       [&](const AddedToken& t) { return t.normalized == normalized; });
  return selected;
}

}  // namespace

Pipeline::Pipeline(Parts parts, Facts facts)
    : Tokenizer(std::move(facts)),
      parts_(std::move(parts)),
      in_text_(Select(parts_.added, false)),
      in_normalized_text_(Select(parts_.added, true)),
      tokens_have_space_(std::ranges::any_of(
          parts_.added, [](const AddedToken& t) { return std::ranges::any_of(t.content, absl::ascii_isspace); })),
      number_(NextTokenizerNumber()) {}

bool Pipeline::SplitsAfter(std::string_view prompt) const {
  if (prompt.empty()) return true;
  return parts_.bert.has_value() && !tokens_have_space_ && absl::ascii_isspace(prompt.back()) &&
         prompt.back() != '\v' && prompt.back() != '\f';
}

void Pipeline::Encode(std::string_view utf8, std::vector<uint32_t>& ids) const {
  std::string repaired;
  if (!IsUtf8(utf8)) {
    repaired = RepairUtf8(utf8);
    utf8 = repaired;
  }
  in_text_.Split(
      utf8,
      [&](std::string_view text) { EncodeBetweenTokens(text, text.data() == utf8.data(), ids); },
      [&](uint32_t id) { ids.push_back(id); });
}

void Pipeline::EncodeBetweenTokens(std::string_view text, bool first, std::vector<uint32_t>& ids) const {
  if (parts_.bert.has_value()) {
    ForEachBertWord(text, *parts_.bert, [&](std::string_view word) { parts_.model->Encode(word, ids); });
    return;
  }
  std::string normalized;
  if (parts_.normalizer != nullptr) {
    normalized = text;
    first &= parts_.normalizer->Apply(normalized);
    text = normalized;
  }
  in_normalized_text_.Split(
      text, [&](std::string_view part) { EncodeNormalized(part, first && part.data() == text.data(), ids); },
      [&](uint32_t id) { ids.push_back(id); });
}

void Pipeline::EncodeNormalized(std::string_view text, bool first, std::vector<uint32_t>& ids) const {
  thread_local Pieces pieces;
  pieces.Clear();
  pieces.list().push_back({text, first});
  parts_.pre_tokenizer.Apply(pieces);
  WordCache& cache = CacheOfThread(number_);
  for (const Piece& piece : pieces.list()) {
    cache.Append(piece.text, ids,
                 [&](std::string_view word, std::vector<uint32_t>& to) { parts_.model->Encode(word, to); });
  }
}

}  // namespace muster
