#include "worker/rank/evaluate/encode_all.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/sort.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/status.h"
#include "worker/rank/device/upload.h"
#include "worker/rank/evaluate/cut.h"
#include "worker/rank/train/batch.h"
#include "worker/rank/train/text_of.h"

namespace muster {
namespace {

using muster::internal::v1::EvaluationHeader;
using muster::internal::v1::MicroBatch;

// The last micro-batch is cut into smaller parts, this share of the others' size, so that all threads finish at about the same
// time.
constexpr uint64_t kFinerAtTheEnd = 4;

// Cuts the micro-batches of a stream into parts, and hands them out in order. Thread-safe.
class PartQueue {
 public:
  struct Part {
    size_t number;
    MicroBatch content;
  };

  PartQueue(EvaluationSource& source, uint64_t tokens) : source_(source), tokens_(tokens) {}

  // Returns nothing after the last part, and after the stream has failed.
  std::optional<Part> Take() ABSL_LOCKS_EXCLUDED(mutex_) {
    // Also held while waiting for the stream: other threads have nothing to encode until it delivers more.
    const absl::MutexLock lock(&mutex_);
    while (next_ == parts_.size()) {
      if (!Refill()) return std::nullopt;
    }
    return Part{taken_++, std::move(parts_[next_++])};
  }

  // No further parts are handed out.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    End(absl::OkStatus());
  }

  absl::Status status() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return status_;
  }

 private:
  bool Refill() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ended_) return false;
    MicroBatch micro;
    const absl::StatusOr<bool> more = source_.next(&micro);
    if (!more.ok() || !*more) {
      End(more.status());
      return false;
    }
    sequences_ += static_cast<uint64_t>(micro.slots_size());
    const bool is_last = sequences_ >= source_.header.own_sequences();
    parts_ = CutMicroBatch(micro, is_last ? std::max<uint64_t>(1, tokens_ / kFinerAtTheEnd) : tokens_);
    next_ = 0;
    return true;
  }

  void End(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ended_ = true;
    parts_.clear();
    next_ = 0;
    status_.Update(std::move(status));
  }

  EvaluationSource& source_ ABSL_GUARDED_BY(mutex_);
  const uint64_t tokens_;
  mutable absl::Mutex mutex_;
  std::vector<MicroBatch> parts_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0, taken_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t sequences_ ABSL_GUARDED_BY(mutex_) = 0;  // received
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

struct EncodedPart {
  at::Tensor embeddings;
  std::vector<uint32_t> slots;  // the slots of the rows
  int64_t non_finite = 0;
  std::string first_non_finite;
};

EncodedPart EncodePart(const Encoder& encoder, const PackedBatch& batch, const EvaluationHeader& header,
                       const EvaluatorOptions& options) {
  EncodedPart part{.embeddings = encoder.Encode(batch, Dropout()), .slots = batch.slots};
  const at::Tensor bad = at::isfinite(part.embeddings).all(1).logical_not().to(at::kCPU, at::kInt);
  part.non_finite = bad.sum().item<int64_t>();
  if (part.non_finite > 0) {
    const uint32_t slot = batch.slots[bad.argmax().item<int64_t>()];
    part.first_non_finite = absl::StrCat(slot < header.query_count() ? "a query" : "a document", ", which begins ",
                                         BeginningOf(*TokensOfSlot(batch, slot), options.tokenizer));
  }
  return part;
}

// The embeddings from all threads, by the number of the part. Thread-safe.
class EncodedParts {
 public:
  // Returns the number of texts that all threads have encoded so far.
  uint64_t Add(size_t number, EncodedPart part) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    if (number >= parts_.size()) parts_.resize(number + 1);
    texts_ += part.slots.size();
    parts_[number] = std::move(part);
    return texts_;
  }

  std::vector<EncodedPart> Release() ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return std::move(parts_);
  }

 private:
  absl::Mutex mutex_;
  std::vector<EncodedPart> parts_ ABSL_GUARDED_BY(mutex_);
  uint64_t texts_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Encodes parts until there are none. `reports`: this is the thread that reports progress.
absl::Status EncodeFrom(PartQueue& queue, const Encoder& encoder, const EvaluationHeader& header,
                        const EvaluatorOptions& options, bool reports, EncodedParts& encoded) try {
  const int64_t slots = int64_t{header.query_count()} + header.document_count();
  while (std::optional<PartQueue::Part> part = queue.Take()) {
    const auto batch = PackedFromMicroBatch(part->content, slots, encoder.config(), encoder.options().device);
    if (!batch.ok()) {
      queue.Stop();
      return batch.status();
    }
    const uint64_t texts = encoded.Add(part->number, EncodePart(encoder, *batch, header, options));
    if (reports && options.progress) {
      options.progress(static_cast<double>(texts) / std::max<uint32_t>(1, header.own_sequences()));
    }
  }
  return absl::OkStatus();
} catch (...) {
  queue.Stop();
  throw;
}

// In the stream's order, whichever thread encoded a part.
absl::StatusOr<std::vector<EncodedPart>> EncodeParts(const Encoder& encoder, EvaluationSource& source,
                                                     const EvaluatorOptions& options) {
  const at::Device device = encoder.options().device;
  PartQueue queue(source, device.is_cpu() ? options.cpu_tokens : std::numeric_limits<uint64_t>::max());
  EncodedParts encoded;
  // Each thread encodes whole parts, and waits for no other thread before the end. A part is computed on one thread, so
  // its embeddings do not depend on the number of threads. In bfloat16 the first Encode after a step copies the weights,
  // which only one thread may do.
  const PackedWeights packed(encoder);
  const bool shared = device.is_cpu() && !encoder.options().bfloat16;
  std::vector<absl::Status> statuses(shared ? at::get_num_threads() : 1);
  const auto encode = [&](int64_t thread) {
    statuses[thread] = EncodeFrom(queue, encoder, source.header, options, /*reports=*/thread == 0, encoded);
  };
  if (shared) {
    at::parallel_for(0, static_cast<int64_t>(statuses.size()), 1, [&](int64_t begin, int64_t end) {
      const at::NoGradGuard no_gradient;  // the caller's guard only covers its own thread
      for (int64_t thread = begin; thread < end; ++thread) encode(thread);
    });
  } else {
    encode(0);
  }
  RETURN_IF_ERROR(queue.status());
  for (const absl::Status& status : statuses) RETURN_IF_ERROR(status);
  if (options.progress) options.progress(1);
  return encoded.Release();
}

}  // namespace

absl::StatusOr<LocalEmbeddings> EncodeAll(const Encoder& encoder, EvaluationSource& source,
                                          const EvaluatorOptions& options) {
  const EvaluationHeader& header = source.header;
  ASSIGN_OR_RETURN(const std::vector<EncodedPart> parts, EncodeParts(encoder, source, options));
  const at::TensorOptions like = encoder.parameters().front().value.options().requires_grad(false);
  std::vector<int64_t> query_rows, document_rows, query_numbers, document_numbers;
  std::vector<at::Tensor> all_rows = {at::empty({0, encoder.config().EmbeddingSize()}, like)};
  LocalEmbeddings local;
  int64_t row = 0;
  for (const EncodedPart& part : parts) {
    for (const int64_t slot : part.slots) {
      const bool is_query = slot < header.query_count();
      (is_query ? query_rows : document_rows).push_back(row++);
      (is_query ? query_numbers : document_numbers).push_back(is_query ? slot : slot - header.query_count());
    }
    all_rows.push_back(part.embeddings);
    if (local.non_finite == 0) local.first_non_finite = part.first_non_finite;
    local.non_finite += part.non_finite;
  }
  if (row != header.own_sequences() || static_cast<int64_t>(query_rows.size()) != header.own_queries()) {
    return absl::InvalidArgumentError(absl::StrCat("evaluation: ", row, " sequences arrived, the header said ",
                                                   header.own_sequences()));
  }
  const at::Tensor all = at::cat(all_rows);
  const auto select = [&](const std::vector<int64_t>& rows, const std::vector<int64_t>& numbers) {
    const auto [sorted, order] = at::sort(IndicesOn(at::kCPU, numbers));
    return std::pair(all.index_select(0, IndicesOn(at::kCPU, rows).index_select(0, order).to(all.device())), sorted);
  };
  std::tie(local.queries, local.query_numbers) = select(query_rows, query_numbers);
  std::tie(local.documents, local.document_numbers) = select(document_rows, document_numbers);
  return local;
}

}  // namespace muster
