#include "coordinator/data/tokenize/added_tokens.h"

#include <algorithm>
#include <utility>

#include "coordinator/data/tokenize/characters.h"
#include "coordinator/data/tokenize/utf8.h"

namespace muster {
namespace {

bool EndsWithWord(std::string_view text) {
  size_t i = text.size();
  return i > 0 && (RegexClassesOf(PreviousCodePoint(text, i)) & kWord) != 0;
}

bool StartsWithWord(std::string_view text) {
  size_t i = 0;
  return !text.empty() && (RegexClassesOf(NextCodePoint(text, i)) & kWord) != 0;
}

size_t StartOfTrailingSpace(std::string_view text) {
  size_t end = text.size();
  for (size_t i = end; i > 0 && IsWhiteSpace(PreviousCodePoint(text, i)); end = i) {
  }
  return end;
}

size_t EndOfLeadingSpace(std::string_view text) {
  size_t end = 0;
  for (size_t i = 0; i < text.size() && IsWhiteSpace(NextCodePoint(text, i)); end = i) {
  }
  return end;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::vector<std::pair<std::string_view, uint32_t>> keys;
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    keys.emplace_back(tokens_[i].content, i);
    begins_one_[static_cast<unsigned char>(tokens_[i].content.front())] = true;
  }
  trie_ = ByteTrie(std::move(keys));
}

const AddedToken* AddedTokens::LongestAt(std::string_view rest) const {
  const AddedToken* longest = nullptr;
  trie_.ForEachPrefix(rest, [&](size_t, uint32_t i) { longest = &tokens_[i]; });
  return longest;
}

void AddedTokens::Split(std::string_view sentence, absl::FunctionRef<void(std::string_view)> text,
                        absl::FunctionRef<void(uint32_t)> token) const {
  size_t done = 0;  // the text before it has been reported
  for (size_t i = 0; !tokens_.empty() && i < sentence.size();) {
    const bool may_begin = begins_one_[static_cast<unsigned char>(sentence[i])];
    const AddedToken* found = may_begin ? LongestAt(sentence.substr(i)) : nullptr;
    if (found == nullptr) {
      ++i;
      continue;
    }
    size_t start = i, stop = i + found->content.size();
    i = stop;  // a token that is discarded below is not searched for again
    if (found->single_word && (EndsWithWord(sentence.substr(0, start)) || StartsWithWord(sentence.substr(stop)))) {
      continue;
    }
    if (found->lstrip) start = std::max(StartOfTrailingSpace(sentence.substr(0, start)), done);
    if (found->rstrip) stop += EndOfLeadingSpace(sentence.substr(stop));
    if (done < start) text(sentence.substr(done, start - done));
    token(found->id);
    done = stop;
  }
  if (done < sentence.size()) text(sentence.substr(done));
}

}  // namespace muster
