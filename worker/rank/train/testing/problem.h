// For tests: a small global batch, and its shares cut for any number of ranks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "common/random.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "worker/rank/model/encoder.h"

namespace muster {

struct Problem {
  int64_t queries = 7, passages = 17;
  std::vector<std::vector<uint32_t>> tokens;  // of each slot
  std::vector<std::vector<uint32_t>> positives, ignored;  // of each query; query 2 has no positive
  std::vector<float> weights;                             // of each query
  bool graded = false;
  uint64_t step = 3;
  bool noisy = false;  // some positives count as put there by data.noise
  std::vector<std::vector<uint32_t>> lists;  // of each query: columns that a teacher scored; empty: there is no teacher
};

inline EncoderConfig ProblemConfig() {
  EncoderConfig config;
  config.vocabulary_size = 50;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.max_positions = 24;
  config.max_sequence_length = 24;
  return config;
}

inline Problem MakeProblem(uint64_t seed, bool one_positive, int64_t queries = 7, int64_t passages = 17) {
  CounterRandom random(seed);
  Problem problem{.queries = queries, .passages = passages};
  for (int64_t slot = 0; slot < problem.queries + problem.passages; ++slot) {
    std::vector<uint32_t> ids(3 + random.Below(15));
    for (uint32_t& id : ids) id = static_cast<uint32_t>(random.Below(50));
    problem.tokens.push_back(ids);
  }
  for (int64_t q = 0; q < problem.queries; ++q) {
    std::vector<uint32_t> columns(problem.passages);
    for (uint32_t c = 0; c < columns.size(); ++c) columns[c] = c;
    for (size_t c = 0; c < columns.size(); ++c) std::swap(columns[c], columns[c + random.Below(columns.size() - c)]);
    const size_t positives = q == 2 ? 0 : one_positive ? 1 : 1 + random.Below(4);
    const size_t ignored = std::min(random.Below(4), columns.size() - positives);
    problem.positives.emplace_back(columns.begin(), columns.begin() + positives);
    problem.ignored.emplace_back(columns.begin() + positives, columns.begin() + positives + ignored);
    problem.weights.push_back(0.5f + static_cast<float>(random.Uniform()));
  }
  return problem;
}

// Each query's positives, and up to 4 other passages, some of which are ignored; query 1 has a list of one.
inline void AddTeacher(Problem& problem, uint64_t seed) {
  CounterRandom random(seed);
  for (int64_t q = 0; q < problem.queries; ++q) {
    std::vector<uint32_t> list = problem.positives[q];
    for (uint32_t i = 0; i < 4; ++i) {
      const auto column = static_cast<uint32_t>(random.Below(problem.passages));
      if (std::ranges::find(list, column) == list.end()) list.push_back(column);
    }
    if (q == 1) list.resize(1);
    problem.lists.push_back(list);
  }
}
inline float TeacherScoreOf(uint32_t query, uint32_t column) { return 0.5f * static_cast<float>((3 * query + 5 * column) % 11) - 2; }

inline bool IsNoise(uint32_t query, uint32_t column) { return (query + column) % 3 == 0; }

inline float GradeOf(uint32_t query, uint32_t column) { return 1.0f + (query + column) % 3; }

// Slots of a rank, ascending in length. Rank 0 has more than the others; every rank has one if there are enough.
inline std::vector<uint32_t> SlotsOfRank(const Problem& problem, int64_t rank, int64_t world_size) {
  std::vector<uint32_t> slots;
  for (uint32_t slot = 0; slot < problem.tokens.size(); ++slot) {
    const int64_t owner = slot < world_size ? slot : slot % 5 == 0 ? 0 : (slot * 7 + slot / 3) % world_size;
    if (owner == rank) slots.push_back(slot);
  }
  std::stable_sort(slots.begin(), slots.end(), [&](uint32_t a, uint32_t b) {
    return problem.tokens[a].size() < problem.tokens[b].size();
  });
  return slots;
}

inline muster::internal::v1::StepShare ShareOf(const Problem& problem, int64_t rank, int64_t world_size,
                                               size_t micro_tokens) {
  muster::internal::v1::StepShare share;
  share.set_step(problem.step);
  share.set_query_count(problem.queries);
  share.set_passage_count(problem.passages);
  share.set_plan_digest(77);
  size_t used = micro_tokens + 1;
  for (const uint32_t slot : SlotsOfRank(problem, rank, world_size)) {
    const auto& ids = problem.tokens[slot];
    if (used + ids.size() > micro_tokens) share.add_micro_batches(), used = 0;
    used += ids.size();
    auto& micro = *share.mutable_micro_batches(share.micro_batches_size() - 1);
    micro.add_lengths(ids.size());
    micro.add_slots(slot);
    micro.mutable_tokens()->append(reinterpret_cast<const char*>(ids.data()), 4 * ids.size());
  }
  share.set_row_begin(problem.queries * rank / world_size);
  share.set_row_end(problem.queries * (rank + 1) / world_size);
  share.add_positive_offsets(0);
  share.add_ignored_offsets(0);
  if (!problem.lists.empty()) share.add_teacher_offsets(0);
  for (uint32_t q = share.row_begin(); q < share.row_end(); ++q) {
    share.mutable_positives()->Add(problem.positives[q].begin(), problem.positives[q].end());
    share.mutable_ignored()->Add(problem.ignored[q].begin(), problem.ignored[q].end());
    share.add_positive_offsets(share.positives_size());
    share.add_ignored_offsets(share.ignored_size());
    share.add_row_weights(problem.weights[q]);
    share.add_query_digests(1000 + q);
    if (!problem.lists.empty()) {
      for (const uint32_t column : problem.lists[q]) share.add_teacher_scores(TeacherScoreOf(q, column));
      share.mutable_teacher_columns()->Add(problem.lists[q].begin(), problem.lists[q].end());
      share.add_teacher_offsets(share.teacher_columns_size());
    }
    for (size_t i = 0; problem.noisy && i < problem.positives[q].size(); ++i) {
      const auto position = static_cast<uint32_t>(share.positive_offsets(share.positive_offsets_size() - 2) + i);
      if (IsNoise(q, problem.positives[q][i])) share.add_noise_positives(position);
    }
    if (problem.graded) {
      for (const uint32_t column : problem.positives[q]) share.add_positive_weights(GradeOf(q, column));
    }
  }
  share.set_has_noise(problem.noisy);
  double total = 0;
  for (int64_t q = 0; q < problem.queries; ++q) total += problem.positives[q].empty() ? 0 : problem.weights[q];
  share.set_total_weight(total);
  return share;
}

}  // namespace muster
