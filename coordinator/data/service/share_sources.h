// Shared by the streams of a job: dataset, tokens and plan, opened once and kept while they are used.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "coordinator/data/plan/document_numbering.h"
#include "coordinator/data/plan/evaluation_source.h"
#include "coordinator/data/plan/share_source.h"
#include "coordinator/data/service/data_stores.h"
#include "coordinator/data/service/once_cache.h"
#include "coordinator/data/tokenize/token_store.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Thread-safe. `give_up` is called regularly while a call waits (OnceCache::Get).
class ShareSources {
 public:
  using GiveUp = std::function<absl::Status()>;
  // `on_plan`: how long the plan of a step took, from any thread.
  ShareSources(DataStores& stores, const Clock& clock, std::function<void(absl::Duration)> on_plan)
      : stores_(stores), clock_(clock), on_plan_(std::move(on_plan)) {}

  absl::StatusOr<std::shared_ptr<ShareSource>> Source(const muster::v1::JobSpec& spec,
                                                      const muster::v1::ResolvedJob& resolved, const GiveUp& give_up);
  // The tokens of a dataset by the job's tokenizer, with the prompts that it must see. The first caller builds them;
  // others wait.
  absl::StatusOr<std::shared_ptr<const TokenStore>> Tokens(std::shared_ptr<const Dataset> dataset,
                                                           const muster::v1::JobSpec& spec,
                                                           const muster::v1::ResolvedJob& resolved,
                                                           const GiveUp& give_up);
  // The evaluation of a split by `world_size` ranks: the first caller assigns the sequences of all ranks, the others wait.
  absl::StatusOr<std::shared_ptr<const EvaluationSource>> Evaluation(std::shared_ptr<const Dataset> dataset,
                                                                     uint32_t split, const muster::v1::JobSpec& spec,
                                                                     const muster::v1::ResolvedJob& resolved,
                                                                     uint32_t world_size, const GiveUp& give_up);
  // Drops everything that no stream uses, and so releases the datasets behind it. Sources go before the tokens that they
  // hold.
  void DropUnused() {
    sources_.DropUnused();
    evaluations_.DropUnused();
    numberings_.DropUnused();
    tokens_.DropUnused();
  }

 private:
  DataStores& stores_;
  const Clock& clock_;
  const std::function<void(absl::Duration)> on_plan_;
  OnceCache<const TokenStore> tokens_{8};
  OnceCache<ShareSource> sources_{16};
  // 12 and 4 bytes per document of the dataset.
  OnceCache<const DocumentNumbering> numberings_{2};
  OnceCache<const EvaluationSource> evaluations_{4};
};

}  // namespace muster
