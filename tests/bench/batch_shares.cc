#include "tests/bench/batch_shares.h"

#include "common/random.h"
#include "coordinator/data/plan/assign_sequences.h"

namespace muster {
namespace {

using muster::internal::v1::StepShare;

void AddMicroBatches(const TokenBatch& batch, const RankLoad& load, StepShare& share) {
  const size_t queries = batch.queries.size();
  for (size_t i = 0; i < load.micro_batch_ends.size(); ++i) {
    muster::internal::v1::MicroBatch& micro = *share.add_micro_batches();
    std::vector<uint32_t> tokens;
    for (const uint32_t slot : load.MicroBatch(i)) {
      const auto& ids = slot < queries ? batch.queries[slot] : batch.passages[slot - queries];
      micro.add_slots(slot);
      micro.add_lengths(static_cast<uint32_t>(ids.size()));
      tokens.insert(tokens.end(), ids.begin(), ids.end());
    }
    micro.set_tokens(reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof(uint32_t));
  }
}

void AddRows(const TokenBatch& batch, uint32_t begin, uint32_t end, StepShare& share) {
  share.set_row_begin(begin);
  share.set_row_end(end);
  share.add_positive_offsets(0);
  share.add_ignored_offsets(0);
  for (uint32_t row = begin; row < end; ++row) {
    share.mutable_positives()->Add(batch.positives[row].begin(), batch.positives[row].end());
    share.add_positive_offsets(static_cast<uint32_t>(share.positives_size()));
    share.add_ignored_offsets(0);
    share.add_query_digests(row + 1);
  }
}

}  // namespace

TokenBatch RandomTokenBatch(uint32_t queries, uint32_t mean_length, uint32_t vocabulary) {
  CounterRandom random(17);
  TokenBatch batch;
  const auto text = [&] {
    std::vector<uint32_t> ids(mean_length / 2 + random.Below(mean_length + 1));
    for (uint32_t& id : ids) id = static_cast<uint32_t>(random.Below(vocabulary));
    return ids;
  };
  for (uint32_t q = 0; q < queries; ++q) {
    batch.queries.push_back(text());
    batch.passages.push_back(text());
    batch.positives.push_back({q});
  }
  return batch;
}

std::vector<StepShare> SharesOf(const TokenBatch& batch, uint32_t world_size, uint32_t micro_batch_tokens) {
  std::vector<Sequence> sequences;
  for (const auto* texts : {&batch.queries, &batch.passages}) {
    for (const auto& ids : *texts) {
      sequences.push_back({static_cast<uint32_t>(sequences.size()), static_cast<uint32_t>(ids.size())});
    }
  }
  const auto queries = static_cast<uint32_t>(batch.queries.size());
  const std::vector<RankLoad> loads = AssignSequences(std::move(sequences), world_size, micro_batch_tokens);
  std::vector<StepShare> shares(world_size);
  for (uint32_t rank = 0; rank < world_size; ++rank) {
    StepShare& share = shares[rank];
    share.set_query_count(queries);
    share.set_passage_count(static_cast<uint32_t>(batch.passages.size()));
    AddMicroBatches(batch, loads[rank], share);
    const auto [begin, end] = EqualRange(queries, rank, world_size);
    AddRows(batch, begin, end, share);
    share.set_total_weight(queries);
  }
  return shares;
}

}  // namespace muster
