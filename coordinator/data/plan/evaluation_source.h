// The sequences that the ranks of an evaluation read, assigned to all ranks at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/plan/assign_sequences.h"
#include "coordinator/data/plan/document_numbering.h"
#include "coordinator/data/plan/sequences.h"
#include "coordinator/data/plan/share_form.h"
#include "coordinator/data/tokenize/token_store.h"
#include "muster/internal/v1/data_plane.pb.h"

namespace muster {

// The queries that an evaluation of the split has: those with a judgment that is neither a hard negative nor ignored.
std::vector<uint32_t> EvaluatedQueries(const Dataset& dataset, uint32_t split);

// An evaluation over all documents of the dataset, and the queries that have a judgment in the split. Keeps 4 bytes per
// document besides the numbering. Thread-safe: immutable.
class EvaluationSource {
 public:
  struct Options {
    std::shared_ptr<const Dataset> dataset;
    std::shared_ptr<const DocumentNumbering> numbering;  // of `dataset`
    std::shared_ptr<const TokenStore> tokens;            // of `dataset`
    uint32_t split = 0;                                  // index into splits()
    muster::v1::JobSpec spec;                            // gives max_length and micro_batch_tokens
    muster::v1::ResolvedJob resolved;                    // gives the prompts
    uint32_t world_size = 1;
  };
  static absl::StatusOr<std::shared_ptr<const EvaluationSource>> Create(Options options);

  using Send = std::function<absl::Status(const muster::internal::v1::StreamEvaluationResponse&)>;
  // Sends the header and then the micro-batches of the rank's part. `pair_identical_ids`: the header names the queries
  // whose id is a document's. Ends with the first error of `send`.
  absl::Status Stream(uint32_t rank, bool pair_identical_ids, const Send& send, ShareForm form = {}) const;
  // The same for mining: the header has MiningEdges in place of judgments.
  absl::Status StreamMining(uint32_t rank, const Send& send, ShareForm form = {}) const;

 private:
  EvaluationSource(Options options, Sequences sequences);
  muster::internal::v1::EvaluationHeader HeaderFor(uint32_t rank, bool pair_identical_ids) const;
  muster::internal::v1::EvaluationHeader CountsFor(uint32_t rank) const;
  absl::Status SendPart(uint32_t rank, muster::internal::v1::EvaluationHeader header, const Send& send,
                        ShareForm form) const;
  absl::Status CheckRank(uint32_t rank) const;
  void AddJudgments(muster::internal::v1::EvaluationHeader& header) const;
  void AddIdenticalIds(muster::internal::v1::EvaluationHeader& header) const;

  const Options options_;
  const Sequences sequences_;
  std::vector<uint32_t> queries_;
  std::vector<RankLoad> loads_;  // of each rank
};

}  // namespace muster
