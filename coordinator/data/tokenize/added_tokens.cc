#include "coordinator/data/tokenize/added_tokens.h"

#include <algorithm>

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
  std::ranges::stable_sort(tokens_, std::ranges::greater(), [](const AddedToken& t) { return t.content.size(); });
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    by_first_[static_cast<unsigned char>(tokens_[i].content.front())].push_back(i);
  }
}

const AddedToken* AddedTokens::LongestAt(std::string_view rest) const {
  for (const uint32_t i : by_first_[static_cast<unsigned char>(rest.front())]) {
    if (rest.starts_with(tokens_[i].content)) return &tokens_[i];
  }
  return nullptr;
}

void AddedTokens::Split(std::string_view sentence, absl::FunctionRef<void(std::string_view)> text,
                        absl::FunctionRef<void(uint32_t)> token) const {
  size_t done = 0;  // what lies before it has been reported
  for (size_t i = 0; !tokens_.empty() && i < sentence.size();) {
    const AddedToken* found = LongestAt(sentence.substr(i));
    if (found == nullptr) {
      ++i;
      continue;
    }
    size_t start = i, stop = i + found->content.size();
    i = stop;  // a token that is discarded below is not searched a second time
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
