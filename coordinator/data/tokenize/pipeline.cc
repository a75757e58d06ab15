#include "coordinator/data/tokenize/pipeline.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/status.h"
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

absl::Status Pipeline::Encode(std::string_view utf8, std::vector<uint32_t>& ids) const {
  std::string repaired;
  if (!IsUtf8(utf8)) {
    repaired = RepairUtf8(utf8);
    utf8 = repaired;
  }
  absl::Status status;
  in_text_.Split(
      utf8,
      [&](std::string_view text) { status.Update(EncodeBetweenTokens(text, text.data() == utf8.data(), ids)); },
      [&](uint32_t id) { ids.push_back(id); });
  return status;
}

void Pipeline::EncodeForBert(std::string_view text, std::vector<uint32_t>& ids) const {
  const auto encode = [&](std::string_view word) { parts_.model->Encode(word, ids); };
  if (in_normalized_text_.empty()) {
    ForEachBertWord(text, *parts_.bert, encode);
    return;
  }
  in_normalized_text_.Split(
      NormalizeForBert(text, *parts_.bert), [&](std::string_view part) { SplitForBert(part, encode); },
      [&](uint32_t id) { ids.push_back(id); });
}

absl::Status Pipeline::EncodeBetweenTokens(std::string_view text, bool first, std::vector<uint32_t>& ids) const {
  if (parts_.bert.has_value()) {
    EncodeForBert(text, ids);
    return absl::OkStatus();
  }
  std::string normalized;
  if (parts_.normalizer != nullptr) {
    normalized = text;
    ASSIGN_OR_RETURN(const bool begins_there, parts_.normalizer->Apply(normalized));
    first &= begins_there;
    text = normalized;
  }
  absl::Status status;
  in_normalized_text_.Split(
      text,
      [&](std::string_view part) { status.Update(EncodeNormalized(part, first && part.data() == text.data(), ids)); },
      [&](uint32_t id) { ids.push_back(id); });
  return status;
}

absl::Status Pipeline::EncodeNormalized(std::string_view text, bool first, std::vector<uint32_t>& ids) const {
  thread_local Pieces pieces;
  pieces.Clear();
  pieces.list().push_back({text, first});
  RETURN_IF_ERROR(parts_.pre_tokenizer.Apply(pieces));
  WordCache& cache = CacheOfThread(number_);
  for (const Piece& piece : pieces.list()) {
    cache.Append(piece.text, ids,
                 [&](std::string_view word, std::vector<uint32_t>& to) { parts_.model->Encode(word, to); });
  }
  return absl::OkStatus();
}

}  // namespace muster
