#include "worker/rank/train/checkpoint.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <google/protobuf/util/json_util.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/deterministic_bytes.h"
#include "common/digest.h"
#include "common/fast_digest.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

using Json = nlohmann::json;

constexpr char kOptimizer[] = "optimizer.safetensors", kBest[] = "best.safetensors",
               kState[] = "state.json";

Json JsonFrom(const TrainingCursor& cursor) {
  std::string untrained;
  if (cursor.untrained.has_value()) {
    (void)google::protobuf::util::MessageToJsonString(*cursor.untrained, &untrained);  // can only fail for an Any
  }
  return {{"untrained", untrained.empty() ? Json() : Json::parse(untrained)},
          {"format", 1},
          {"step", cursor.step},
          {"total_steps", cursor.total_steps},
          {"seed", cursor.seed},
          {"spec_digest", cursor.spec_digest},
          {"evaluations_done", cursor.evaluations_done},
          {"evaluations_without_better", cursor.evaluations_without_better},
          {"best_metric", cursor.best_metric.has_value() ? Json(*cursor.best_metric) : Json()},
          {"best_step", cursor.best_step},
          {"threads", cursor.threads},
          {"ledger",
           {{"epoch", cursor.ledger.epoch},
            {"queries", cursor.ledger.applied.queries},
            {"sum", cursor.ledger.applied.sum},
            {"whole", cursor.ledger.whole}}}};
}

absl::StatusOr<TrainingCursor> CursorFrom(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    if (json.at("format").get<int>() != 1) {
      return absl::FailedPreconditionError(absl::StrCat("format ", json["format"].get<int>(),
                                                        " has a newer version. Upgrade the workers."));
    }
    TrainingCursor cursor{.step = json.at("step").get<uint64_t>(),
                          .total_steps = json.at("total_steps").get<uint64_t>(),
                          .seed = json.at("seed").get<uint64_t>(),
                          .spec_digest = json.at("spec_digest").get<std::string>(),
                          .evaluations_done = json.at("evaluations_done").get<uint64_t>(),
                          .evaluations_without_better = json.at("evaluations_without_better").get<uint64_t>(),
                          .best_step = json.at("best_step").get<uint64_t>(),
                          .threads = json.at("threads").get<std::vector<uint32_t>>()};
    if (json.contains("ledger")) {
      const Json& ledger = json["ledger"];
      cursor.ledger = {.epoch = ledger.at("epoch").get<uint64_t>(),
                       .applied = {ledger.at("queries").get<uint64_t>(), ledger.at("sum").get<uint64_t>()},
                       .whole = ledger.at("whole").get<bool>()};
    } else {
      cursor.ledger.whole = false;  // written by a version without ledgers, so the current epoch is not checked
    }
    if (!json.at("best_metric").is_null()) cursor.best_metric = json["best_metric"].get<double>();
    if (!json.at("untrained").is_null() &&
        !google::protobuf::util::JsonStringToMessage(json["untrained"].dump(), &cursor.untrained.emplace()).ok()) {
      return absl::InvalidArgumentError("untrained is not an evaluation");
    }
    return cursor;
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
}

// The copy is not read soon, so its cache lines need not be fetched before they are written. That saves a third of the
// traffic.
void CopyPastCaches(void* to, const void* from, size_t bytes) {
  auto* target = static_cast<char*>(to);
  const auto* source = static_cast<const char*>(from);
#ifdef __SSE2__
  if (reinterpret_cast<uintptr_t>(target) % sizeof(__m128i) == 0) {
    for (; bytes >= 64; bytes -= 64, source += 64, target += 64) {
      for (size_t part = 0; part < 64; part += sizeof(__m128i)) {
        _mm_stream_si128(reinterpret_cast<__m128i*>(target + part),
                         _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + part)));
      }
    }
    _mm_sfence();  // the writer's thread sees it
  }
#endif
  std::memcpy(target, source, bytes);
}

// Makes host tensors with the shapes of `from`. Reuses those that fit.
void Allocate(const std::vector<Parameter>& from, std::vector<Parameter>& copies) {
  copies.resize(from.size());
  for (size_t i = 0; i < from.size(); ++i) {
    const at::Tensor& value = from[i].value;
    at::Tensor& copy = copies[i].value;
    copies[i].name = from[i].name;
    if (copy.defined() && copy.sizes() == value.sizes() && copy.scalar_type() == value.scalar_type()) continue;
    copy = at::empty(value.sizes(), at::device(at::kCPU).dtype(value.scalar_type()));
  }
}

// Copies the values of `from` to the host.
void CopyInto(const std::vector<Parameter>& from, std::vector<Parameter>& copies) {
  const at::NoGradGuard no_gradient;
  Allocate(from, copies);
  for (size_t i = 0; i < from.size(); ++i) {
    const at::Tensor value = from[i].value.detach();
    at::Tensor& copy = copies[i].value;
    if (value.is_cpu() && value.is_contiguous()) {
      // Only this thread copies: memory is the limit, and a barrier of torch's threads would wait for other work on the cores.
      CopyPastCaches(copy.mutable_data_ptr(), value.const_data_ptr(), value.nbytes());
    } else {
      copy.copy_(value);
    }
  }
}

// The bytes of the file are the stored ones, so content that does not parse or fit means that the checkpoint is damaged.
absl::Status Damaged(const absl::Status& status) {
  return absl::IsInvalidArgument(status) ? absl::DataLossError(status.message()) : status;
}

absl::StatusOr<std::vector<Parameter>> ReadTensors(const std::filesystem::path& file) {
  auto tensors = ReadSafetensors(file);
  if (!tensors.ok()) return Damaged(tensors.status());
  return tensors;
}

// Old checkpoints have an enumeration's default as 0 or absent in their specification. The digest must match both.
void ClearDefaultEnumerations(muster::v1::JobSpec& spec) {
  using namespace muster::v1;  // NOLINT: the enumerations' values
  if (spec.precision() == PRECISION_AUTO) spec.clear_precision();
  if (spec.loss().objective() == OBJECTIVE_JOINTLH) spec.mutable_loss()->clear_objective();
  if (spec.model().has_pooling() && spec.model().pooling() == POOLING_UNSPECIFIED)
    spec.mutable_model()->clear_pooling();
  const OptimizerSpec& optimizer = spec.optimizer();
  const bool linear = optimizer.schedule() == SCHEDULE_LINEAR || optimizer.schedule() == SCHEDULE_UNSPECIFIED;
  if (optimizer.has_schedule() && linear) spec.mutable_optimizer()->clear_schedule();
  const auto is_default = [](Choose choose) { return choose == CHOOSE_RANDOM || choose == CHOOSE_UNSPECIFIED; };
  if (const auto& positives = spec.data().positives(); positives.has_choose() && is_default(positives.choose())) {
    spec.mutable_data()->mutable_positives()->clear_choose();
  }
  if (const auto& negatives = spec.data().negatives(); negatives.has_choose() && is_default(negatives.choose())) {
    spec.mutable_data()->mutable_negatives()->clear_choose();
  }
}

}  // namespace

std::string SpecDigest(const muster::v1::JobSpec& spec, const muster::v1::ResolvedJob& resolved) {
  muster::v1::JobSpec own = spec;
  own.clear_resources();
  own.clear_checkpoint();
  own.clear_profile();  // only for display: the fields that it sets are filled in, and older ranks do not receive it
  ClearDefaultEnumerations(own);
  return Sha256Hex(DeterministicBytes(own) + DeterministicBytes(resolved));
}

std::string RoundingNote(const std::vector<uint32_t>& before, const std::vector<uint32_t>& now) {
  if (before == now) return "";
  return absl::StrCat("the checkpoint was written with ", absl::StrJoin(before, ", "),
                      " threads on its ranks, this attempt has ", absl::StrJoin(now, ", "),
                      ": what follows equals an undisturbed run up to rounding, not to the byte. Set "
                      "resources.threads and equal slots.min and slots.max for the same bytes.");
}

std::string ParameterDigest(const std::vector<Parameter>& parameters) {
  uint64_t digest = 0;
  for (const Parameter& parameter : parameters) {
    const at::Tensor host = parameter.value.detach().to(at::kCPU).contiguous();
    digest = FastDigest(parameter.name, digest);
    digest = FastDigest({static_cast<const char*>(host.const_data_ptr()), host.nbytes()}, digest);
  }
  return absl::StrCat(absl::Hex(digest, absl::kZeroPad16));
}

std::vector<Parameter> CopyParameters(const std::vector<Parameter>& parameters) {
  std::vector<Parameter> copies;
  for (const Parameter& parameter : parameters) {
    copies.push_back({parameter.name, parameter.value.detach().to(parameter.value.options().device(at::kCPU), false,
                                                                  /*copy=*/true)});
  }
  return copies;
}

absl::Status AssignParameters(const std::vector<Parameter>& values, std::vector<Parameter>& parameters) {
  std::map<std::string, at::Tensor> by_name;
  for (const Parameter& value : values) by_name[value.name] = value.value;
  for (const Parameter& parameter : parameters) {
    const auto found = by_name.find(parameter.name);
    if (found == by_name.end()) return absl::InvalidArgumentError(absl::StrCat(parameter.name, " is absent"));
    if (found->second.sizes() != parameter.value.sizes()) {
      return absl::InvalidArgumentError(absl::StrCat(parameter.name, " has another shape"));
    }
  }
  at::NoGradGuard no_gradient;
  for (Parameter& parameter : parameters) parameter.value.copy_(by_name[parameter.name]);
  return absl::OkStatus();
}

void CheckpointCopy::Reserve(const Encoder& encoder, const AdamW& optimizer) {
  Allocate(encoder.parameters(), model_);
  Allocate(optimizer.State(), optimizer_);
}

void CheckpointCopy::Touch() {
  for (const std::vector<Parameter>* tensors : {&model_, &optimizer_}) {
    for (const Parameter& tensor : *tensors) std::memset(tensor.value.mutable_data_ptr(), 0, tensor.value.nbytes());
  }
}

void CheckpointCopy::Take(const Encoder& encoder, const AdamW& optimizer, const TrainingCursor& cursor,
                          const std::vector<Parameter>& best) {
  CopyInto(encoder.parameters(), model_);
  CopyInto(optimizer.State(), optimizer_);
  best_ = best;
  cursor_ = cursor;
}

absl::Status CheckpointCopy::WriteTo(const std::filesystem::path& folder) const {
  RETURN_IF_ERROR(MakeFolders(folder));
  RETURN_IF_ERROR(WriteSafetensors(folder / kCheckpointModelFile, model_));
  RETURN_IF_ERROR(WriteSafetensors(folder / kOptimizer, optimizer_));
  if (!best_.empty()) RETURN_IF_ERROR(WriteSafetensors(folder / kBest, best_));
  return WriteFileAtomically(folder / kState, JsonFrom(cursor_).dump(2) + "\n");
}

std::vector<std::string> RequiredCheckpointFiles() { return {kCheckpointModelFile, kOptimizer, kState}; }

absl::StatusOr<RestoredCheckpoint> RestoreCheckpoint(const std::filesystem::path& folder,
                                                     const std::string& spec_digest, Encoder& encoder,
                                                     AdamW& optimizer) {
  ASSIGN_OR_RETURN(const std::string state, ReadFile(folder / kState));
  auto cursor = CursorFrom(state);
  if (!cursor.ok()) return WithContext(Damaged(cursor.status()), kState);
  if (cursor->spec_digest != spec_digest) {
    return absl::FailedPreconditionError(
        absl::StrCat("the checkpoint of step ", cursor->step, " was written under another specification"));
  }
  RestoredCheckpoint restored{.cursor = *std::move(cursor)};
  if (restored.cursor.best_metric.has_value()) {
    ASSIGN_OR_RETURN(restored.best, ReadTensors(folder / kBest));
  }
  ASSIGN_OR_RETURN(const std::vector<Parameter> model, ReadTensors(folder / kCheckpointModelFile));
  ASSIGN_OR_RETURN(const std::vector<Parameter> moments, ReadTensors(folder / kOptimizer));
  const std::vector<Parameter> before = CopyParameters(encoder.parameters());
  RETURN_IF_ERROR(Damaged(AssignParameters(model, encoder.parameters())));
  if (const absl::Status status = optimizer.Restore(moments); !status.ok()) {
    RETURN_IF_ERROR(AssignParameters(before, encoder.parameters()));
    return Damaged(status);
  }
  return restored;
}

}  // namespace muster
