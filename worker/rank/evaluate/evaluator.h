// Retrieval quality of an encoder on a dataset's split: each rank searches its own documents exactly for all queries,
// and rank 0 merges and measures.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "worker/rank/collective/group.h"
#include "worker/rank/model/encoder.h"

namespace muster {

struct EvaluationSource {
  muster::internal::v1::EvaluationHeader header;
  // Reads this rank's next micro-batch into *micro; false after the last. Any encoding thread may call it, but only one
  // at a time.
  std::function<absl::StatusOr<bool>(muster::internal::v1::MicroBatch* micro)> next;
};

struct EvaluatorOptions {
  std::vector<std::string> metrics;  // names as common/spec/job_spec.h parses them
  int64_t kept = 1000;               // length of each ranking; at least the largest cutoff
  int64_t queries_at_once = 256;
  uint64_t cpu_tokens = 1024;  // per call of a CPU thread, so that a layer's data stays in the core's cache
  // BEIR's rule: a document whose id is the query's id is left out of that query's ranking. Its judgment still counts, in
  // the ideal ranking and among the relevant documents.
  bool ignore_identical_ids = false;
  std::filesystem::path tokenizer;  // folder with vocab.txt, to quote texts in errors by their words; empty: by token ids
  std::function<void(double done)> progress;  // this rank's encoded share; may be empty. Called from the
                                              // thread that called Evaluate
  std::string* query_values = nullptr;  // rank 0 writes the file of common/query_values_file.h to it; may be null
  // Rank 0 calls `ranked` with the first `ranked_depth` documents of each query's ranking, best first, in ascending order of
  // the queries, also for those without a relevant document; it may be empty. All ranks have the same `ranked_depth`. Metrics
  // count `kept` documents, whatever it is.
  std::function<void(uint32_t query, std::span<const uint32_t> documents, std::span<const float> scores)> ranked;
  int64_t ranked_depth = 0;
};

// Called by all ranks together; all get the same `metrics`, `queries` and `documents`. Means are over the queries with
// a relevant document. INVALID_ARGUMENT: a value is out of range, an embedding or a score is not finite, or no query
// has a relevant document. FAILED_PRECONDITION: the data server does not know ignore_identical_ids.
absl::StatusOr<muster::v1::Evaluation> Evaluate(const Encoder& encoder, Group& group, EvaluationSource source,
                                                const EvaluatorOptions& options);

}  // namespace muster
