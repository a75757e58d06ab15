#include "common/spec/number_ranges.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr double kMany = 1e9;  // steps: what a counter of 32 bits holds, with room
constexpr double kAnyFloat = std::numeric_limits<float>::max();

// The ranges of floats and doubles are those in which single precision, used for weights and losses, still distinguishes
// numbers.
constexpr auto kRanges = std::to_array<NumberRange>({
    {.field = "model.max_length.query", .low = 3, .high = 8192, .note = "tokens"},
    {.field = "model.max_length.passage", .low = 3, .high = 8192, .note = "tokens"},
    // Masks compare 16 bits: 1 - 2^-17 would drop everything.
    {.field = "model.dropout", .low = 0, .high = 0.99},
    {.field = "model.hidden_dropout", .low = 0, .high = 0.99},
    {.field = "model.attention_dropout", .low = 0, .high = 0.99},
    {.field = "model.lora.rank", .low = 1, .high = 1024},
    {.field = "model.lora.alpha", .low = 1e-3, .high = 1e5},
    {.field = "data.positives.per_query", .low = 0, .high = 4096, .note = "(0: all)"},
    {.field = "data.positives.min_grade", .low = -kAnyFloat, .high = kAnyFloat},
    {.field = "data.negatives.per_query", .low = 0, .high = 4096},
    {.field = "data.sets.weight", .low = 1e-3, .high = 1e3},
    {.field = "data.noise.random_passages", .low = 0, .high = 1, .note = "(a share of the positives)"},
    {.field = "data.noise.hard_negatives", .low = 0, .high = 1, .note = "(a share of the positives)"},
    {.field = "data.noise.other_positives", .low = 0, .high = 1, .note = "(a share of the positives)"},
    {.field = "data.noise.dropped", .low = 0, .high = 1, .note = "(a share of the positives)"},
    {.field = "data.noise.blurred_grades", .low = 0, .high = 1e6},
    {.field = "data.noise.seed", .low = 0, .high = 18446744073709551615.0},
    // Scores of normalized embeddings stay within 1 / temperature, and their float32 differences remain meaningful.
    {.field = "loss.temperature", .low = 1e-4, .high = 1e4},
    {.field = "loss.matryoshka_dimensions", .low = 1, .high = 1 << 16, .note = "numbers"},
    {.field = "loss.matryoshka_weights", .low = 1e-4, .high = 1e4},
    {.field = "loss.false_negatives.margin", .low = -1e4, .high = 1e4},
    {.field = "loss.distill.weight", .low = 1e-4, .high = 1e4},
    {.field = "loss.distill.temperature", .low = 1e-4, .high = 1e4},
    {.field = "batch.queries", .low = 1, .high = 1 << 20},
    {.field = "batch.micro_batch_tokens", .low = 3, .high = 4 << 20, .note = "tokens"},
    {.field = "batch.keep_activations", .low = 0, .high = 1125899906842624.0, .note = "bytes"},  // 1 PiB
    {.field = "optimizer.learning_rate", .low = 0, .high = 1},
    {.field = "optimizer.weight_decay", .low = 0, .high = 1},
    {.field = "optimizer.warmup", .low = 0, .high = 1, .note = "(a share of the steps)"},
    {.field = "optimizer.max_grad_norm", .low = 1e-6, .high = 1e6, .or_zero = true, .note = "(0: no clipping)"},
    // In single precision 1 - 1e-8 is 1, so the moments would never change.
    {.field = "optimizer.beta1", .low = 0, .high = 0.999999},
    {.field = "optimizer.beta2", .low = 0, .high = 0.999999},
    // In single precision 1e-46 is 0, so a gradient of 0 would be divided by 0.
    {.field = "optimizer.epsilon", .low = 1e-15, .high = 1},
    {.field = "optimizer.learning_rates.embeddings", .low = 0, .high = 1},
    {.field = "optimizer.learning_rates.layers", .low = 0, .high = 1},
    {.field = "optimizer.learning_rates.head", .low = 0, .high = 1},
    {.field = "optimizer.layer_decay", .low = 0.01, .high = 1, .note = "(1: none)"},
    {.field = "duration.epochs", .low = 1, .high = 1e6},
    {.field = "duration.steps", .low = 0, .high = kMany},
    {.field = "stages.epochs", .low = 1, .high = 1e6},
    {.field = "stages.steps", .low = 1, .high = kMany},
    {.field = "stages.learning_rate", .low = 0, .high = 1},
    {.field = "stages.warmup", .low = 0, .high = 1, .note = "(a share of the stage's steps)"},
    {.field = "evaluate.every_steps", .low = 1, .high = kMany},
    {.field = "evaluate.early_stop.patience", .low = 1, .high = kMany, .note = "(or remove early_stop)"},
    {.field = "report.run_depth", .low = 0, .high = 10000, .note = "(0: no rankings)"},
    {.field = "mine.ranks.first", .low = 1, .high = 10000},
    {.field = "mine.ranks.last", .low = 1, .high = 10000},
    {.field = "mine.per_query", .low = 1, .high = 4096},
    {.field = "mine.absolute_margin", .low = -1e6, .high = 1e6},
    {.field = "mine.relative_margin", .low = 0.01, .high = 1, .or_zero = true, .note = "(0: no such limit)"},
    {.field = "resources.slots.min", .low = 1, .high = 4096},
    {.field = "resources.slots.max", .low = 1, .high = 4096},
    {.field = "resources.priority",
     .low = std::numeric_limits<int32_t>::min(),
     .high = std::numeric_limits<int32_t>::max()},
    {.field = "resources.threads", .low = 0, .high = 1024},
    {.field = "checkpoint.every_steps", .low = 1, .high = kMany},
    {.field = "checkpoint.keep", .low = 1, .high = 1000},
    {.field = "trace_steps", .low = 0, .high = 1000, .note = "(0: no trace)"},
    {.field = "seed", .low = 0, .high = 18446744073709551615.0},
});

std::string NumberText(double value) {
  const bool whole = std::abs(value) < 1e15 && value == std::floor(value);
  return whole && std::abs(value) <= kMany ? absl::StrFormat("%.0f", value) : absl::StrFormat("%.7g", value);
}

// The numbers of a field: one, or those of a list. Empty: the field holds no number.
std::vector<double> NumbersOf(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  std::vector<double> numbers;
  if (field.is_repeated()) {
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
        numbers.push_back(reflection.GetRepeatedUInt32(message, &field, i));
      } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) {
        numbers.push_back(reflection.GetRepeatedFloat(message, &field, i));
      }
    }
    return numbers;
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return {static_cast<double>(reflection.GetInt32(message, &field))};
    case FieldDescriptor::CPPTYPE_INT64: return {static_cast<double>(reflection.GetInt64(message, &field))};
    case FieldDescriptor::CPPTYPE_UINT32: return {static_cast<double>(reflection.GetUInt32(message, &field))};
    case FieldDescriptor::CPPTYPE_UINT64: return {static_cast<double>(reflection.GetUInt64(message, &field))};
    case FieldDescriptor::CPPTYPE_FLOAT: return {reflection.GetFloat(message, &field)};
    case FieldDescriptor::CPPTYPE_DOUBLE: return {reflection.GetDouble(message, &field)};
    case FieldDescriptor::CPPTYPE_BOOL:
    case FieldDescriptor::CPPTYPE_ENUM:
    case FieldDescriptor::CPPTYPE_STRING:
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return numbers;
}

// `field`: the path without the indices of lists.
absl::Status CheckNumber(const std::string& path, const std::string& field, double value, bool single_precision) {
  const auto range = std::ranges::find(kRanges, std::string_view(field), &NumberRange::field);
  if (range == kRanges.end()) return absl::InternalError(absl::StrCat(path, ": has no range in number_ranges.cc"));
  // A float is compared with the ends as floats: 0.99f is a little more than 0.99.
  const double low = single_precision ? static_cast<float>(range->low) : range->low;
  const double high = single_precision ? static_cast<float>(range->high) : range->high;
  if ((value >= low && value <= high) || (range->or_zero && value == 0)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": is ", NumberText(value), ". It must be ", AllowedText(*range), "."));
}

std::string Below(const std::string& path, const std::string& name) {
  return absl::StrCat(path, path.empty() ? "" : ".", name);
}

// `path` is that of `parent` with the indices of lists.
absl::Status CheckMessage(const std::string& path, const std::string& parent, const Message& message) {
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (field.has_presence() && !message.GetReflection()->HasField(message, &field)) continue;
    const std::string name = Below(path, field.name()), without_indices = Below(parent, field.name());
    const auto& reflection = *message.GetReflection();
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && field.is_repeated()) {
      for (int item = 0; item < reflection.FieldSize(message, &field); ++item) {
        RETURN_IF_ERROR(CheckMessage(absl::StrCat(name, "[", item, "]"), without_indices,
                                     reflection.GetRepeatedMessage(message, &field, item)));
      }
      continue;
    }
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      RETURN_IF_ERROR(CheckMessage(name, without_indices, reflection.GetMessage(message, &field)));
      continue;
    }
    for (const double value : NumbersOf(message, field)) {
      RETURN_IF_ERROR(CheckNumber(name, without_indices, value, field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::span<const NumberRange> NumberRanges() { return kRanges; }

std::string AllowedText(const NumberRange& range) {
  if (range.high == kAnyFloat) return "a finite number";
  return absl::StrCat(range.or_zero ? "0 or " : "", "from ", NumberText(range.low), " to ", NumberText(range.high),
                      range.note.empty() ? "" : " ", ToAbsl(range.note));
}

absl::Status CheckNumbers(const muster::v1::JobSpec& spec) { return CheckMessage("", "", spec); }

}  // namespace muster
