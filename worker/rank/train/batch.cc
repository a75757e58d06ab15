#include "worker/rank/train/batch.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::internal::v1::MicroBatch;
using muster::internal::v1::StepShare;
template <typename T>
using Field = google::protobuf::RepeatedField<T>;

absl::Status Bad(const std::string& what) { return absl::InvalidArgumentError(what); }

absl::StatusOr<RowEdges> EdgesFrom(const char* name, const Field<uint32_t>& offsets, const Field<uint32_t>& columns,
                                   int64_t rows, int64_t column_count) {
  RowEdges edges;
  edges.offsets.assign(offsets.begin(), offsets.end());
  edges.columns.assign(columns.begin(), columns.end());
  if (edges.rows() != rows || edges.offsets.front() != 0 || edges.offsets.back() != columns.size() ||
      !std::is_sorted(edges.offsets.begin(), edges.offsets.end())) {
    return Bad(absl::StrCat(name, "_offsets do not divide ", columns.size(), " columns into ", rows, " rows"));
  }
  for (const int64_t column : edges.columns) {
    if (column >= column_count) return Bad(absl::StrCat(name, ": column ", column, " of ", column_count));
  }
  return edges;
}

// A column may occur only once in a row, either as positive or as ignored: a repeated positive would count twice.
absl::Status CheckDisjoint(const StepBatch& batch) {
  std::vector<int64_t> columns;
  for (int64_t row = 0; row < batch.positives.rows(); ++row) {
    columns.clear();
    for (const RowEdges* edges : {&batch.positives, &batch.ignored}) {
      columns.insert(columns.end(), edges->columns.begin() + edges->begin(row),
                     edges->columns.begin() + edges->end(row));
    }
    std::sort(columns.begin(), columns.end());
    if (std::adjacent_find(columns.begin(), columns.end()) != columns.end()) {
      return Bad(absl::StrCat("row ", batch.row_begin + row, " names a column twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckWeights(const StepBatch& batch) {
  if (!batch.positive_weights.empty() && batch.positive_weights.size() != batch.positives.columns.size()) {
    return Bad("positive_weights has another size than positives");
  }
  for (const double weight : batch.positive_weights) {
    if (!(weight > 0) || !std::isfinite(weight)) return Bad(absl::StrCat("positive_weights: ", weight));
  }
  if (!batch.row_weights.empty() && static_cast<int64_t>(batch.row_weights.size()) != batch.positives.rows()) {
    return Bad("row_weights has another size than rows");
  }
  for (const double weight : batch.row_weights) {
    if (!(weight >= 0) || !std::isfinite(weight)) return Bad(absl::StrCat("row_weights: ", weight));
  }
  if (!(batch.total_weight >= 0) || !std::isfinite(batch.total_weight)) {
    return Bad(absl::StrCat("total_weight: ", batch.total_weight));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint8_t>> NoiseFrom(const Field<uint32_t>& positions, size_t positives) {
  std::vector<uint8_t> noise;
  if (!positions.empty()) noise.resize(positives);
  for (const uint32_t position : positions) {
    if (position >= positives) return Bad(absl::StrCat("noise_positives: ", position, " of ", positives));
    noise[position] = 1;
  }
  return noise;
}

absl::Status CheckTeacher(const StepBatch& batch) {
  if (batch.teacher_scores.size() != batch.teacher_lists.columns.size()) {
    return Bad("teacher_scores has another size than teacher_columns");
  }
  for (const double score : batch.teacher_scores) {
    if (!std::isfinite(score)) return Bad(absl::StrCat("teacher_scores: ", score));
  }
  std::vector<int64_t> columns;
  for (int64_t row = 0; row < batch.teacher_lists.rows(); ++row) {
    columns.assign(batch.teacher_lists.columns.begin() + batch.teacher_lists.begin(row),
                   batch.teacher_lists.columns.begin() + batch.teacher_lists.end(row));
    std::sort(columns.begin(), columns.end());
    if (std::adjacent_find(columns.begin(), columns.end()) != columns.end()) {
      return Bad(absl::StrCat("teacher: row ", batch.row_begin + row, " names a column twice"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<PackedBatch> PackOnHost(const MicroBatch& micro, int64_t slots, const EncoderConfig& config, bool pinned);

absl::StatusOr<StepBatch> Parse(const StepShare& share, const EncoderConfig& config, bool pinned) {
  StepBatch batch{.step = share.step(),
                  .epoch = share.epoch(),
                  .query_count = share.query_count(),
                  .passage_count = share.passage_count(),
                  .row_begin = share.row_begin(),
                  .row_end = share.row_end(),
                  .positive_weights = {share.positive_weights().begin(), share.positive_weights().end()},
                  .row_weights = {share.row_weights().begin(), share.row_weights().end()},
                  .has_noise = share.has_noise(),
                  .total_weight = share.total_weight(),
                  .teacher_scores = {share.teacher_scores().begin(), share.teacher_scores().end()},
                  .plan_digest = share.plan_digest(),
                  .epoch_end = share.epoch_end(),
                  .query_digests = {share.query_digests().begin(), share.query_digests().end()}};
  for (const MicroBatch& micro : share.micro_batches()) {
    ASSIGN_OR_RETURN(PackedBatch packed,
                     PackOnHost(micro, batch.query_count + batch.passage_count, config, pinned));
    batch.tokens += packed.tokens.numel();
    batch.micro_batches.push_back(std::move(packed));
  }
  if (batch.row_begin > batch.row_end || batch.row_end > batch.query_count) {
    return Bad(absl::StrCat("rows ", batch.row_begin, " to ", batch.row_end, " of ", batch.query_count));
  }
  const int64_t rows = batch.row_end - batch.row_begin;
  ASSIGN_OR_RETURN(batch.positives,
                   EdgesFrom("positive", share.positive_offsets(), share.positives(), rows, batch.passage_count));
  ASSIGN_OR_RETURN(batch.ignored,
                   EdgesFrom("ignored", share.ignored_offsets(), share.ignored(), rows, batch.passage_count));
  ASSIGN_OR_RETURN(batch.noise, NoiseFrom(share.noise_positives(), batch.positives.columns.size()));
  if (!share.teacher_offsets().empty()) {
    ASSIGN_OR_RETURN(batch.teacher_lists,
                     EdgesFrom("teacher", share.teacher_offsets(), share.teacher_columns(), rows, batch.passage_count));
  }
  RETURN_IF_ERROR(CheckDisjoint(batch));
  RETURN_IF_ERROR(CheckWeights(batch));
  RETURN_IF_ERROR(CheckTeacher(batch));
  return batch;
}

// Unsigned numbers of `bytes` bytes each.
template <size_t kBytes>
void ReadLittleEndian(const std::string& bytes, std::span<int64_t> numbers) {
  const auto* next = reinterpret_cast<const uint8_t*>(bytes.data());
  for (int64_t& number : numbers) {
    number = 0;
    for (size_t byte = 0; byte < kBytes; ++byte) number |= int64_t{*next++} << (8 * byte);
  }
}

absl::StatusOr<PackedBatch> PackOnHost(const MicroBatch& micro, int64_t slots, const EncoderConfig& config, bool pinned) {
  PackedBatch packed;
  packed.lengths.assign(micro.lengths().begin(), micro.lengths().end());
  packed.slots.assign(micro.slots().begin(), micro.slots().end());
  packed.unpooled.assign(micro.unpooled().begin(), micro.unpooled().end());
  if (packed.lengths.empty() || packed.lengths.size() != packed.slots.size()) {
    return Bad("micro_batches: lengths and slots must be as many, and at least one");
  }
  if (!packed.unpooled.empty() && packed.unpooled.size() != packed.lengths.size()) {
    return Bad(absl::StrCat("micro_batches: unpooled of ", packed.unpooled.size(), " sequences, lengths of ",
                            packed.lengths.size()));
  }
  int64_t total = 0;
  for (size_t s = 0; s < packed.lengths.size(); ++s) {
    const int64_t length = packed.lengths[s];
    if (length < 1 || length > config.max_positions) {
      return Bad(absl::StrCat("micro_batches: a sequence of ", length, " tokens, the model takes 1 to ",
                              config.max_positions));
    }
    if (!packed.unpooled.empty() && packed.unpooled[s] >= length) {
      return Bad(absl::StrCat("micro_batches: pooling leaves out ", packed.unpooled[s], " tokens of a sequence of ",
                              length, ", which has no embedding then"));
    }
    total += length;
  }
  const bool narrow = !micro.narrow_tokens().empty();
  const std::string& tokens = narrow ? micro.narrow_tokens() : micro.tokens();
  if (narrow && !micro.tokens().empty()) return Bad("micro_batches: tokens of 16 and of 32 bits");
  if (static_cast<int64_t>(tokens.size()) != (narrow ? 2 : 4) * total) {
    return Bad(absl::StrCat("micro_batches: ", tokens.size(), " bytes of tokens for ", total, " tokens"));
  }
  for (const uint32_t slot : packed.slots) {
    if (slot >= slots) return Bad(absl::StrCat("micro_batches: slot ", slot, " of ", slots));
  }
  packed.tokens = at::empty({total}, at::TensorOptions().dtype(at::kLong).pinned_memory(pinned));
  const std::span<int64_t> ids(packed.tokens.mutable_data_ptr<int64_t>(), static_cast<size_t>(total));
  narrow ? ReadLittleEndian<2>(tokens, ids) : ReadLittleEndian<4>(tokens, ids);
  const auto foreign = std::ranges::find_if(ids, [&](int64_t id) { return id >= config.vocabulary_size; });
  if (foreign != ids.end()) {
    return Bad(absl::StrCat("micro_batches: token ", *foreign, ", the model's vocabulary has ", config.vocabulary_size,
                            ": the tokenizer belongs to another model"));
  }
  return packed;
}

}  // namespace

absl::StatusOr<PackedBatch> PackedFromMicroBatch(const MicroBatch& micro, int64_t slots, const EncoderConfig& config,
                                                 at::Device device) {
  ASSIGN_OR_RETURN(PackedBatch packed, PackOnHost(micro, slots, config, /*pinned=*/false));
  packed.tokens = packed.tokens.to(device);
  return packed;
}

absl::StatusOr<StepBatch> HostBatchFromShare(const StepShare& share, const EncoderConfig& config, bool pinned) {
  auto batch = Parse(share, config, pinned);
  if (!batch.ok()) return WithContext(batch.status(), absl::StrCat("share of step ", share.step()));
  return batch;
}

absl::StatusOr<StepBatch> BatchFromShare(const StepShare& share, const EncoderConfig& config, at::Device device) {
  ASSIGN_OR_RETURN(StepBatch batch, HostBatchFromShare(share, config, /*pinned=*/false));
  for (PackedBatch& micro : batch.micro_batches) micro.tokens = micro.tokens.to(device);
  return batch;
}

void Upload(StepBatch& batch, Streams& streams) {
  for (PackedBatch& micro : batch.micro_batches) micro.tokens = streams.Upload(micro.tokens);
  batch.uploaded = streams.Record(Lane::kUpload);
}

void AwaitUpload(const StepBatch& batch, Streams& streams) {
  if (batch.uploaded == nullptr) return;
  streams.Wait(Lane::kCompute, *batch.uploaded);
  for (const PackedBatch& micro : batch.micro_batches) streams.WillRead(Lane::kCompute, micro.tokens);
}

}  // namespace muster
