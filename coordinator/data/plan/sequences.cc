#include "coordinator/data/plan/sequences.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"

namespace muster {

static_assert(std::endian::native == std::endian::little, "tokens travel as the machine holds them");

muster::v1::Prompts PromptsOf(const muster::v1::ModelSpec& model, const muster::v1::ResolvedJob& resolved) {
  return resolved.has_prompts() ? resolved.prompts() : model.prompts();
}

JoinedPrompts PromptsToJoin(const Tokenizer& tokenizer, const muster::v1::ModelSpec& model,
                            const muster::v1::ResolvedJob& resolved) {
  if (!resolved.has_prompts()) return {};
  const muster::v1::Prompts prompts = PromptsOf(model, resolved);
  const auto joined = [&](const std::string& prompt) { return tokenizer.SplitsAfter(prompt) ? std::string() : prompt; };
  return {joined(prompts.query()), joined(prompts.passage())};
}

absl::StatusOr<Sequences> Sequences::Create(const TokenStore& tokens, const muster::v1::ModelSpec& model,
                                            const muster::v1::ResolvedJob& resolved) {
  if (tokens.prompts() != PromptsToJoin(tokens.tokenizer(), model, resolved)) {
    return absl::InternalError("the token store was built for other prompts");
  }
  Sequences sequences(tokens);
  const muster::v1::Prompts prompts = PromptsOf(model, resolved);
  RETURN_IF_ERROR(sequences.Fill("query", prompts.query(), tokens.prompts().query, model.max_length().query(),
                                 resolved.exclude_prompt(), sequences.query_));
  RETURN_IF_ERROR(sequences.Fill("passage", prompts.passage(), tokens.prompts().passage, model.max_length().passage(),
                                 resolved.exclude_prompt(), sequences.passage_));
  return sequences;
}

absl::Status Sequences::Fill(const char* name, const std::string& prompt, const std::string& joined,
                             uint32_t max_length, bool exclude_prompt, Side& side) const {
  if (max_length < special_tokens() + 1) {
    return absl::InvalidArgumentError(absl::StrCat("model.max_length.", name, ": ", max_length,
                                                   " leaves no room for a token besides the ", special_tokens(),
                                                   " special ones. Set ", special_tokens() + 1, " or more."));
  }
  const Tokenizer& tokenizer = tokens_->tokenizer();
  side.limit = max_length - special_tokens();
  std::vector<uint32_t> ids;
  if (absl::Status status = tokenizer.Encode(prompt, ids); !status.ok()) {
    return WithContext(status, absl::StrCat("model.prompts.", name));
  }
  if (exclude_prompt && !prompt.empty()) {
    side.unpooled = special_tokens() + std::min<uint32_t>(side.limit, static_cast<uint32_t>(ids.size()));
    const bool ends_special = !tokenizer.suffix().empty() || (!ids.empty() && tokenizer.IsSpecial(ids.back()));
    if (ends_special) --side.unpooled;
  }
  if (!joined.empty()) return absl::OkStatus();
  side.prompt = std::move(ids);
  if (!tokenizer.truncates_left()) side.prompt.resize(std::min<size_t>(side.prompt.size(), side.limit));
  return absl::OkStatus();
}

uint32_t Sequences::special_tokens() const {
  const Tokenizer& tokenizer = tokens_->tokenizer();
  return static_cast<uint32_t>(tokenizer.prefix().size() + tokenizer.suffix().size());
}

uint32_t Sequences::Length(const Side& side, uint32_t text) const {
  return special_tokens() + static_cast<uint32_t>(std::min<uint64_t>(side.limit, side.prompt.size() + uint64_t{text}));
}

// Appends as many ids as Length() returns.
template <typename Id>
Id* Sequences::WriteSequence(const Side& side, TokenStore::Range text, Id* out) const {
  const Tokenizer& tokenizer = tokens_->tokenizer();
  out = std::ranges::copy(tokenizer.prefix(), out).out;
  if (tokenizer.truncates_left()) {
    // The text's last ids, after as many of the prompt's last ids as fit.
    const uint32_t kept = std::min(side.limit, text.count);
    const size_t prompt = std::min<size_t>(side.limit - kept, side.prompt.size());
    out = std::copy(side.prompt.end() - static_cast<ptrdiff_t>(prompt), side.prompt.end(), out);
    text = {text.begin + text.count - kept, kept};
  } else {
    out = std::ranges::copy(side.prompt, out).out;
    text.count = std::min(text.count, side.limit - static_cast<uint32_t>(side.prompt.size()));
  }
  out = tokens_->Copy(text, out);
  return std::ranges::copy(tokenizer.suffix(), out).out;
}

// How many texts are prefetched ahead, because an evaluation's texts are spread over the store.
constexpr size_t kTextsAhead = 16;

template <typename Id>
void Sequences::WriteTokens(std::span<const uint32_t> slots, size_t queries, std::span<const TokenStore::Range> texts,
                            uint64_t total, std::string& tokens) const {
  tokens.resize(total * sizeof(Id));
  Id* out = reinterpret_cast<Id*>(tokens.data());
  for (size_t i = 0; i < slots.size(); ++i) {
    if (i + kTextsAhead < slots.size()) tokens_->PrefetchIds(texts[i + kTextsAhead]);
    out = WriteSequence(slots[i] < queries ? query_ : passage_, texts[i], out);
  }
}

void Sequences::FillMicroBatch(std::span<const uint32_t> queries, std::span<const uint32_t> passages,
                               std::span<const uint32_t> slots, bool narrow,
                               muster::internal::v1::MicroBatch& micro_batch) const {
  const size_t count = slots.size();
  std::vector<uint32_t> texts(count);  // query or passage of the dataset
  for (size_t i = 0; i < count; ++i) {
    if (i + kTextsAhead < count && slots[i + kTextsAhead] >= queries.size()) {
      __builtin_prefetch(passages.data() + (slots[i + kTextsAhead] - queries.size()));
    }
    texts[i] = slots[i] < queries.size() ? queries[slots[i]] : passages[slots[i] - queries.size()];
  }

  const bool any_unpooled = query_.unpooled > 0 || passage_.unpooled > 0;
  micro_batch.mutable_slots()->Add(slots.begin(), slots.end());
  micro_batch.mutable_lengths()->Reserve(static_cast<int>(count));
  std::vector<TokenStore::Range> ranges(count);
  uint64_t total = 0;
  for (size_t i = 0; i < count; ++i) {
    if (i + kTextsAhead < count) tokens_->PrefetchPassageRange(texts[i + kTextsAhead]);
    const bool is_query = slots[i] < queries.size();
    const Side& side = is_query ? query_ : passage_;
    ranges[i] = is_query ? tokens_->QueryRange(texts[i]) : tokens_->PassageRange(texts[i]);
    const uint32_t length = Length(side, ranges[i].count);
    micro_batch.add_lengths(length);
    if (any_unpooled) micro_batch.add_unpooled(std::min(side.unpooled, length - 1));
    total += length;
  }

  if (narrow && tokens_->narrow()) {
    WriteTokens<uint16_t>(slots, queries.size(), ranges, total, *micro_batch.mutable_narrow_tokens());
  } else {
    WriteTokens<uint32_t>(slots, queries.size(), ranges, total, *micro_batch.mutable_tokens());
  }
}

std::string Sequences::identity() const {
  const auto joined = [](const std::string& prompt) {
    return prompt.empty() ? std::string() : absl::StrCat("joined ", prompt.size(), " ", prompt);
  };
  return absl::StrCat(tokens_->tokenizer().digest(), " ", query_.limit, " ", absl::StrJoin(query_.prompt, ","),
                      joined(tokens_->prompts().query), " ", passage_.limit, " ", absl::StrJoin(passage_.prompt, ","),
                      joined(tokens_->prompts().passage));
}

}  // namespace muster
