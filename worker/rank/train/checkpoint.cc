#include "worker/rank/train/checkpoint.h"

#include <ATen/core/grad_mode.h>
#include <google/protobuf/util/json_util.h>

#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/deterministic_bytes.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

using Json = nlohmann::json;

constexpr char kModel[] = "model.safetensors", kOptimizer[] = "optimizer.safetensors", kBest[] = "best.safetensors",
               kState[] = "state.json";

Json JsonFrom(const TrainingCursor& cursor) {
  std::string untrained;
  if (cursor.untrained.has_value()) {
    (void)google::protobuf::util::MessageToJsonString(*cursor.untrained, &untrained);  // fails for an Any alone
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
    if (json.at("format").get<int>() != 1) return absl::InvalidArgumentError("written by another version");
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
      cursor.ledger.whole = false;  // written before there were ledgers: the epoch under way cannot be judged
    }
    if (!json.at("best_metric").is_null()) cursor.best_metric = json["best_metric"].get<double>();
    if (!json.at("untrained").is_null() &&
        !google::protobuf::util::JsonStringToMessage(json["untrained"].dump(), &cursor.untrained.emplace()).ok()) {
      return absl::InvalidArgumentError("untrained is no evaluation");
    }
    return cursor;
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
}

}  // namespace

std::string SpecDigest(const muster::v1::JobSpec& spec, const muster::v1::ResolvedJob& resolved) {
  muster::v1::JobSpec own = spec;
  own.clear_resources();
  own.clear_checkpoint();
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
  Sha256 sha;
  for (const Parameter& parameter : parameters) {
    const at::Tensor host = parameter.value.detach().to(at::kCPU).contiguous();
    sha.Update(parameter.name);
    sha.Update({static_cast<const char*>(host.const_data_ptr()), host.nbytes()});
  }
  return sha.FinishHex();
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

absl::Status WriteCheckpoint(const std::filesystem::path& folder, const Encoder& encoder, const AdamW& optimizer,
                             const TrainingCursor& cursor, const std::vector<Parameter>& best) {
  RETURN_IF_ERROR(MakeFolders(folder));
  RETURN_IF_ERROR(WriteSafetensors(folder / kModel, encoder.parameters()));
  RETURN_IF_ERROR(WriteSafetensors(folder / kOptimizer, optimizer.State()));
  if (!best.empty()) RETURN_IF_ERROR(WriteSafetensors(folder / kBest, best));
  return WriteFileAtomically(folder / kState, JsonFrom(cursor).dump(2) + "\n");
}

absl::StatusOr<RestoredCheckpoint> RestoreCheckpoint(const std::filesystem::path& folder,
                                                     const std::string& spec_digest, Encoder& encoder,
                                                     AdamW& optimizer) {
  ASSIGN_OR_RETURN(const std::string state, ReadFile(folder / kState));
  auto cursor = CursorFrom(state);
  if (!cursor.ok()) return WithContext(cursor.status(), (folder / kState).string());
  if (cursor->spec_digest != spec_digest) {
    return absl::FailedPreconditionError(
        absl::StrCat("the checkpoint of step ", cursor->step, " was written under another specification"));
  }
  RestoredCheckpoint restored{.cursor = *std::move(cursor)};
  if (restored.cursor.best_metric.has_value()) {
    ASSIGN_OR_RETURN(restored.best, ReadSafetensors(folder / kBest));
  }
  ASSIGN_OR_RETURN(const std::vector<Parameter> model, ReadSafetensors(folder / kModel));
  ASSIGN_OR_RETURN(const std::vector<Parameter> moments, ReadSafetensors(folder / kOptimizer));
  const std::vector<Parameter> before = CopyParameters(encoder.parameters());
  RETURN_IF_ERROR(AssignParameters(model, encoder.parameters()));
  if (const absl::Status status = optimizer.Restore(moments); !status.ok()) {
    RETURN_IF_ERROR(AssignParameters(before, encoder.parameters()));
    return status;
  }
  return restored;
}

}  // namespace muster
