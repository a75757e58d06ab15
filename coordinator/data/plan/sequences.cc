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
                                                   " leaves no room for a token beside the ", special_tokens(),
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

void Sequences::AppendSequence(const Side& side, bool is_query, uint32_t text, std::vector<uint32_t>& ids) const {
  const Tokenizer& tokenizer = tokens_->tokenizer();
  const bool left = tokenizer.truncates_left();
  const auto append_text = [&](uint32_t room) {
    is_query ? tokens_->AppendQuery(text, room, ids) : tokens_->AppendPassage(text, room, ids);
  };
  ids.insert(ids.end(), tokenizer.prefix().begin(), tokenizer.prefix().end());
  if (left) {
    // The text's last ids, after as many of the prompt's last ids as fit.
    const uint32_t length = is_query ? tokens_->QueryLength(text) : tokens_->PassageLength(text);
    const size_t room = side.limit - std::min(side.limit, length);
    ids.insert(ids.end(), side.prompt.end() - static_cast<ptrdiff_t>(std::min(room, side.prompt.size())),
               side.prompt.end());
    append_text(side.limit);
  } else {
    ids.insert(ids.end(), side.prompt.begin(), side.prompt.end());
    append_text(static_cast<uint32_t>(side.limit - side.prompt.size()));
  }
  ids.insert(ids.end(), tokenizer.suffix().begin(), tokenizer.suffix().end());
}

void Sequences::FillMicroBatch(std::span<const uint32_t> queries, std::span<const uint32_t> passages,
                               std::span<const uint32_t> slots, muster::internal::v1::MicroBatch& micro_batch) const {
  std::vector<uint32_t> ids;
  const bool any_unpooled = query_.unpooled > 0 || passage_.unpooled > 0;
  for (const uint32_t slot : slots) {
    const size_t begin = ids.size();
    const bool is_query = slot < queries.size();
    const Side& side = is_query ? query_ : passage_;
    AppendSequence(side, is_query, is_query ? queries[slot] : passages[slot - queries.size()], ids);
    const auto length = static_cast<uint32_t>(ids.size() - begin);
    micro_batch.add_lengths(length);
    micro_batch.add_slots(slot);
    if (any_unpooled) micro_batch.add_unpooled(std::min(side.unpooled, length - 1));
  }
  micro_batch.set_tokens(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(uint32_t));
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
