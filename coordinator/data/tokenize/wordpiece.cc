#include "coordinator/data/tokenize/wordpiece.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "coordinator/data/tokenize/utf8.h"

namespace muster {

absl::StatusOr<std::unique_ptr<const WordPiece>> WordPiece::Create(Vocabulary vocabulary, Options options) {
  std::unique_ptr<WordPiece> model(new WordPiece(std::move(vocabulary), std::move(options)));
  const std::string& prefix = model->options_.continuing_prefix;
  for (const auto& [token, id] : model->vocabulary_.map()) {
    model->longest_ = std::max(model->longest_, token.size());
    model->words_[token] = id;
    if (token.size() > prefix.size() && token.starts_with(prefix)) {
      model->continuations_[std::string_view(token).substr(prefix.size())] = id;
    }
  }
  const auto unk = model->vocabulary_.Find(model->options_.unk_token);
  if (!unk.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("the vocabulary has no entry ", model->options_.unk_token));
  }
  model->unk_ = *unk;
  return model;
}

void WordPiece::Encode(std::string_view word, std::vector<uint32_t>& ids) const {
  if (word.empty()) return;
  if (word.size() > options_.max_characters && CountCodePoints(word) > options_.max_characters) {
    ids.push_back(unk_);
    return;
  }
  const size_t before = ids.size();
  const auto* table = &words_;
  while (!word.empty()) {
    size_t size = std::min(word.size(), longest_);
    while (size > 0) {
      if (size == word.size() || !IsContinuation(word[size])) {
        if (const auto found = table->find(word.substr(0, size)); found != table->end()) {
          ids.push_back(found->second);
          break;
        }
      }
      --size;
    }
    if (size == 0) {  // one unknown piece makes the whole word unknown
      ids.resize(before);
      ids.push_back(unk_);
      return;
    }
    word.remove_prefix(size);
    table = &continuations_;
  }
}

}  // namespace muster
