#include "coordinator/data/plan/sequences.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"

namespace muster {

static_assert(std::endian::native == std::endian::little, "tokens travel as the machine holds them");

absl::StatusOr<Sequences> Sequences::Create(const TokenStore& tokens, const muster::v1::ModelSpec& model) {
  Sequences sequences(tokens);
  const auto fill = [&](const char* name, const std::string& prompt, uint32_t max_length, Side& side) {
    if (max_length < 3) {
      return absl::InvalidArgumentError(absl::StrCat("model.max_length.", name, ": ", max_length,
                                                     " leaves no room for [CLS], a token and [SEP]. Set 3 or more."));
    }
    side.limit = max_length - 2;
    tokens.tokenizer().Encode(prompt, side.prompt);
    side.prompt.resize(std::min<size_t>(side.prompt.size(), side.limit));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(fill("query", model.prompts().query(), model.max_length().query(), sequences.query_));
  RETURN_IF_ERROR(fill("passage", model.prompts().passage(), model.max_length().passage(), sequences.passage_));
  return sequences;
}

uint32_t Sequences::Side::Length(uint32_t text) const {
  return 2 + static_cast<uint32_t>(std::min<uint64_t>(limit, prompt.size() + uint64_t{text}));
}

void Sequences::FillMicroBatch(std::span<const uint32_t> queries, std::span<const uint32_t> passages,
                               std::span<const uint32_t> slots, muster::v1::MicroBatch& micro_batch) const {
  std::vector<uint32_t> ids;
  for (const uint32_t slot : slots) {
    const size_t begin = ids.size();
    const bool is_query = slot < queries.size();
    const Side& side = is_query ? query_ : passage_;
    const auto room = static_cast<uint32_t>(side.limit - side.prompt.size());
    ids.push_back(tokens_->tokenizer().cls());
    ids.insert(ids.end(), side.prompt.begin(), side.prompt.end());
    if (is_query) {
      tokens_->AppendQuery(queries[slot], room, ids);
    } else {
      tokens_->AppendPassage(passages[slot - queries.size()], room, ids);
    }
    ids.push_back(tokens_->tokenizer().sep());
    micro_batch.add_lengths(static_cast<uint32_t>(ids.size() - begin));
    micro_batch.add_slots(slot);
  }
  micro_batch.set_tokens(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(uint32_t));
}

std::string Sequences::identity() const {
  return absl::StrCat(tokens_->tokenizer().digest(), " ", query_.limit, " ", absl::StrJoin(query_.prompt, ","), " ",
                      passage_.limit, " ", absl::StrJoin(passage_.prompt, ","));
}

}  // namespace muster
