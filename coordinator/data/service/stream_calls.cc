#include "coordinator/data/service/stream_calls.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/status.h"
#include "coordinator/data/plan/evaluation_source.h"
#include "coordinator/data/plan/share_source.h"
#include "coordinator/data/service/share_queue.h"
#include "common/nearest_name.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"
#include "muster/v1/data.grpc.pb.h"

namespace muster {
namespace {

using muster::internal::v1::RankIdentity;
using muster::internal::v1::StepShare;

constexpr uint32_t kMaxWorldSize = 65536;

absl::Status CheckIdentity(const RankIdentity& identity) {
  if (identity.job_id().empty() || identity.attempt() == 0) {
    return absl::InvalidArgumentError("identity: job_id and attempt (from 1) are needed");
  }
  if (identity.world_size() == 0 || identity.world_size() > kMaxWorldSize ||
      identity.rank() >= identity.world_size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("identity: rank ", identity.rank(), " of ", identity.world_size(), " ranks does not exist"));
  }
  return absl::OkStatus();
}

// Checks repeatedly, while it runs, that one rank's stream is still admitted.
class Gate {
 public:
  Gate(const DataContext& data, const grpc::ServerContext& call, const RankIdentity& identity,
       prometheus::Counter& stale)
      : data_(data), call_(call), identity_(identity), stale_(stale) {}

  absl::Status Check() const {
    RETURN_IF_ERROR(CheckAlive(data_, call_));
    const absl::Status status = data_.fence.Admit(identity_.job_id(), identity_.attempt());
    if (!status.ok()) stale_.Increment();
    return status;
  }

 private:
  const DataContext& data_;
  const grpc::ServerContext& call_;
  const RankIdentity& identity_;
  prometheus::Counter& stale_;
};

absl::StatusOr<uint32_t> SplitOf(const Dataset& dataset, const std::string& split) {
  const auto found = std::find(dataset.splits().begin(), dataset.splits().end(), split);
  if (found != dataset.splits().end()) return static_cast<uint32_t>(found - dataset.splits().begin());
  return absl::NotFoundError(absl::StrCat("dataset ", dataset.digest().substr(0, 12), " has no split \"", split, "\". ",
                                          WhatExists(split, dataset.splits())));
}

}  // namespace

absl::Status RunStream(const DataContext& data, const grpc::ServerContext& call,
                       const muster::internal::v1::StreamRequest& request, grpc::ServerWriter<StepShare>& writer) {
  const RankIdentity& identity = request.identity();
  RETURN_IF_ERROR(CheckIdentity(identity));
  const Gate gate(data, call, identity, data.metrics.stale_streams);
  RETURN_IF_ERROR(gate.Check());
  ASSIGN_OR_RETURN(const auto source,
                   data.sources.Source(request.spec(), request.resolved(), [&] { return gate.Check(); }));
  const ShareForm form = FormForProtocol(identity.protocol());
  ShareQueue queue(request.from_step(), request.resolved().total_steps(), [&](uint64_t step) {
    const absl::Duration start = data.clock.Monotonic();
    absl::StatusOr<StepShare> share = source->Share(step, identity.rank(), identity.world_size(), form);
    data.metrics.stream_seconds.Observe(absl::ToDoubleSeconds(data.clock.Monotonic() - start));
    return share;
  });
  while (true) {
    RETURN_IF_ERROR(gate.Check());
    absl::StatusOr<std::optional<StepShare>> share = queue.Pop(absl::Milliseconds(50));
    if (absl::IsOutOfRange(share.status())) return absl::OkStatus();  // the last step has been sent
    if (!share.ok()) return share.status();
    if (!share->has_value()) continue;
    if (!writer.Write(**share)) return absl::CancelledError("the client has gone");
    data.metrics.stream_steps.Increment();
    data.metrics.stream_bytes.Increment(static_cast<double>((*share)->ByteSizeLong()));
  }
}

absl::Status RunStreamEvaluation(const DataContext& data, const grpc::ServerContext& call,
                                 const muster::internal::v1::StreamEvaluationRequest& request,
                                 grpc::ServerWriter<muster::internal::v1::StreamEvaluationResponse>& writer) {
  const RankIdentity& identity = request.identity();
  RETURN_IF_ERROR(CheckIdentity(identity));
  const Gate gate(data, call, identity, data.metrics.stale_evaluations);
  RETURN_IF_ERROR(gate.Check());
  ASSIGN_OR_RETURN(const auto dataset, data.stores.shelf->Open(request.dataset()));
  ASSIGN_OR_RETURN(const uint32_t split, SplitOf(*dataset, request.split()));
  ASSIGN_OR_RETURN(const auto source,
                   data.sources.Evaluation(dataset, split, request.spec(), request.resolved(), identity.world_size(),
                                           [&] { return gate.Check(); }));
  // A job's evaluation and report may differ in this setting, and the request does not say which one it is for; the
  // rank knows whether to use the pairs.
  const bool pair_identical_ids =
      request.spec().evaluate().ignore_identical_ids() || request.spec().report().ignore_identical_ids();
  const auto send = [&](const muster::internal::v1::StreamEvaluationResponse& response) {
    RETURN_IF_ERROR(gate.Check());
    if (!writer.Write(response)) return absl::CancelledError("the client has gone");
    data.metrics.stream_bytes.Increment(static_cast<double>(response.ByteSizeLong()));
    return absl::OkStatus();
  };
  const ShareForm form = FormForProtocol(identity.protocol());
  return request.mining() ? source->StreamMining(identity.rank(), send, form)
                          : source->Stream(identity.rank(), pair_identical_ids, send, form);
}

}  // namespace muster
