#include "coordinator/data/plan/sequences.h"

#include <algorithm>
#include <bit>
#include <utility>

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

Sequences::Sequences(std::vector<const TokenStore*> stores) : stores_(std::move(stores)) {
  uint32_t queries = 0, passages = 0;
  for (const TokenStore* store : stores_) {
    first_query_.push_back(queries);
    first_passage_.push_back(passages);
    queries += store->queries();
    passages += store->passages();
  }
}

Sequences::Text Sequences::Find(const std::vector<uint32_t>& first, uint32_t number) const {
  const size_t store = std::ranges::upper_bound(first, number) - first.begin() - 1;
  return {stores_[store], number - first[store]};
}

absl::StatusOr<Sequences> Sequences::Create(const TokenStore& tokens, const muster::v1::ModelSpec& model,
                                            const muster::v1::ResolvedJob& resolved) {
  return Create(std::vector<const TokenStore*>{&tokens}, model, resolved);
}

absl::StatusOr<Sequences> Sequences::Create(std::vector<const TokenStore*> stores, const muster::v1::ModelSpec& model,
                                            const muster::v1::ResolvedJob& resolved) {
  for (const TokenStore* store : stores) {
    if (store->prompts() == PromptsToJoin(store->tokenizer(), model, resolved)) continue;
    return absl::InternalError("the token store was built for other prompts");
  }
  Sequences sequences(std::move(stores));
  const muster::v1::Prompts prompts = PromptsOf(model, resolved);
  const JoinedPrompts& joined = sequences.stores_[0]->prompts();
  RETURN_IF_ERROR(sequences.Fill("query", prompts.query(), joined.query, model.max_length().query(), resolved.exclude_prompt(),
                                 sequences.query_));
  RETURN_IF_ERROR(sequences.Fill("passage", prompts.passage(), joined.passage, model.max_length().passage(),
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
  const Tokenizer& tokenizer = this->tokenizer();
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
  return static_cast<uint32_t>(tokenizer().prefix().size() + tokenizer().suffix().size());
}

uint32_t Sequences::Length(const Side& side, uint32_t text) const {
  return special_tokens() + static_cast<uint32_t>(std::min<uint64_t>(side.limit, side.prompt.size() + uint64_t{text}));
}

// Appends as many ids as Length() returns.
template <typename Id>
Id* Sequences::WriteSequence(const Side& side, const TextRange& whole, Id* out) const {
  const Tokenizer& tokenizer = this->tokenizer();
  TokenStore::Range text = whole.range;
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
  out = whole.store->Copy(text, out);
  return std::ranges::copy(tokenizer.suffix(), out).out;
}

// How many texts are prefetched ahead, because an evaluation's texts are spread over the store.
constexpr size_t kTextsAhead = 16;

template <typename Id>
void Sequences::WriteTokens(std::span<const uint32_t> slots, size_t queries, std::span<const TextRange> texts, uint64_t total,
                            std::string& tokens) const {
  tokens.resize(total * sizeof(Id));
  Id* out = reinterpret_cast<Id*>(tokens.data());
  for (size_t i = 0; i < slots.size(); ++i) {
    if (i + kTextsAhead < slots.size()) texts[i + kTextsAhead].store->PrefetchIds(texts[i + kTextsAhead].range);
    out = WriteSequence(slots[i] < queries ? query_ : passage_, texts[i], out);
  }
}

void Sequences::FillMicroBatch(std::span<const uint32_t> queries, std::span<const uint32_t> passages,
                               std::span<const uint32_t> slots, bool narrow,
                               muster::internal::v1::MicroBatch& micro_batch) const {
  const size_t count = slots.size();
  std::vector<Text> texts(count);
  for (size_t i = 0; i < count; ++i) {
    if (i + kTextsAhead < count && slots[i + kTextsAhead] >= queries.size()) {
      __builtin_prefetch(passages.data() + (slots[i + kTextsAhead] - queries.size()));
    }
    texts[i] = slots[i] < queries.size() ? QueryAt(queries[slots[i]]) : PassageAt(passages[slots[i] - queries.size()]);
  }

  const bool any_unpooled = query_.unpooled > 0 || passage_.unpooled > 0;
  micro_batch.mutable_slots()->Add(slots.begin(), slots.end());
  micro_batch.mutable_lengths()->Reserve(static_cast<int>(count));
  std::vector<TextRange> ranges(count);
  uint64_t total = 0;
  for (size_t i = 0; i < count; ++i) {
    if (i + kTextsAhead < count) texts[i + kTextsAhead].store->PrefetchPassageRange(texts[i + kTextsAhead].index);
    const bool is_query = slots[i] < queries.size();
    const Side& side = is_query ? query_ : passage_;
    const auto& [store, index] = texts[i];
    ranges[i] = {store, is_query ? store->QueryRange(index) : store->PassageRange(index)};
    const uint32_t length = Length(side, ranges[i].range.count);
    micro_batch.add_lengths(length);
    if (any_unpooled) micro_batch.add_unpooled(std::min(side.unpooled, length - 1));
    total += length;
  }

  if (narrow && stores_[0]->narrow()) {
    WriteTokens<uint16_t>(slots, queries.size(), ranges, total, *micro_batch.mutable_narrow_tokens());
  } else {
    WriteTokens<uint32_t>(slots, queries.size(), ranges, total, *micro_batch.mutable_tokens());
  }
}

std::string Sequences::identity() const {
  const auto joined = [](const std::string& prompt) {
    return prompt.empty() ? std::string() : absl::StrCat("joined ", prompt.size(), " ", prompt);
  };
  const JoinedPrompts& prompts = stores_[0]->prompts();
  return absl::StrCat(tokenizer().digest(), " ", query_.limit, " ", absl::StrJoin(query_.prompt, ","),
                      joined(prompts.query), " ", passage_.limit, " ", absl::StrJoin(passage_.prompt, ","),
                      joined(prompts.passage));
}

}  // namespace muster
