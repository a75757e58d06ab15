// Token counts for an import's report: how many texts a job with these lengths would cut.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "coordinator/data/blob/model_files.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/service/data_stores.h"
#include "muster/v1/data.pb.h"

namespace muster {

// Thread-safe: immutable.
class ReportTokens {
 public:
  // Texts are counted up to these bounds. A larger dataset is sampled; the sample depends on the dataset alone.
  static constexpr uint64_t kMaxTexts = 20000;     // of queries, and again of passages
  static constexpr uint64_t kMaxBytes = 32 << 20;  // of queries, and again of passages

  // The counter that `header` asks for; nothing if it names no model. An error before anything is sent: NOT_FOUND
  // (MODEL_NOT_FOUND); INVALID_ARGUMENT for lengths without a model, or outside of what a job accepts.
  static absl::StatusOr<std::optional<ReportTokens>> Prepare(const DataStores& stores,
                                                             const muster::v1::ImportHeader& header);

  // Sets query_tokens and passage_tokens, and a note with the model and, if texts were sampled, the sample.
  void Count(const Dataset& dataset, muster::v1::ImportReport& report) const;

 private:
  ReportTokens() = default;

  std::string model_;
  muster::v1::MaxLength max_length_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

}  // namespace muster
