#include "worker/rank/link/evaluation_stream.h"

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/time/time.h"
#include "common/rpc/errors.h"
#include "common/rpc/retry.h"
#include "common/status.h"
#include "muster/internal/v1/data_plane.grpc.pb.h"

namespace muster {
namespace {

using muster::internal::v1::StreamEvaluationResponse;

class EvaluationStream {
 public:
  EvaluationStream(std::shared_ptr<grpc::Channel> server, const muster::internal::v1::StreamEvaluationRequest& request,
                   ReachabilityWatch* watch)
      : server_(std::move(server)),
        stub_(muster::internal::v1::DataPlaneService::NewStub(server_)),
        request_(request),
        watch_(watch) {}
  ~EvaluationStream() {
    if (context_ != nullptr) context_->TryCancel();
  }

  // The next message; false after the last.
  absl::StatusOr<bool> Next(StreamEvaluationResponse* message) {
    const ReachabilityWatch::Wait waiting(watch_);
    absl::Duration pause = absl::Milliseconds(100);
    while (true) {
      if (reader_ == nullptr) Connect();
      uint64_t skipped = 0;
      while (reader_->Read(message)) {
        if (seen_here_++ < taken_) {
          ++skipped;
          continue;
        }
        ++taken_;
        return true;
      }
      const absl::Status status = FromUncancelledCall(reader_->Finish());
      reader_.reset();
      if (status.ok()) return false;
      if (!IsRetryable(status)) return WithContext(status, "stream of an evaluation");
      spdlog::warn("the stream of an evaluation stopped: {}; trying again", std::string(status.message()));
      PauseBeforeRetry(*server_, pause);
      pause = skipped > 0 ? absl::Milliseconds(100) : std::min(2 * pause, absl::Duration(absl::Seconds(5)));
    }
  }

 private:
  void Connect() {
    context_ = std::make_unique<grpc::ClientContext>();
    reader_ = stub_->StreamEvaluation(context_.get(), request_);
    seen_here_ = 0;
  }

  const std::shared_ptr<grpc::Channel> server_;
  const std::unique_ptr<muster::internal::v1::DataPlaneService::Stub> stub_;
  const muster::internal::v1::StreamEvaluationRequest request_;
  ReachabilityWatch* const watch_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReader<StreamEvaluationResponse>> reader_;
  uint64_t taken_ = 0;      // messages passed on
  uint64_t seen_here_ = 0;  // messages of this connection
};

}  // namespace

absl::StatusOr<EvaluationSource> OpenEvaluation(std::shared_ptr<grpc::Channel> server,
                                                const muster::internal::v1::StreamEvaluationRequest& request,
                                                ReachabilityWatch* watch) {
  auto stream = std::make_shared<EvaluationStream>(std::move(server), request, watch);
  StreamEvaluationResponse first;
  ASSIGN_OR_RETURN(const bool any, stream->Next(&first));
  if (!any || !first.has_header()) {
    return absl::InternalError("the data server sent an evaluation without a header");
  }
  EvaluationSource source;
  source.header = std::move(*first.mutable_header());
  source.next = [stream](muster::internal::v1::MicroBatch* micro) -> absl::StatusOr<bool> {
    StreamEvaluationResponse message;
    ASSIGN_OR_RETURN(const bool more, stream->Next(&message));
    if (!more) return false;
    if (!message.has_micro_batch()) return absl::InternalError("the data server sent no micro-batch in an evaluation");
    *micro = std::move(*message.mutable_micro_batch());
    return true;
  };
  return source;
}

}  // namespace muster
