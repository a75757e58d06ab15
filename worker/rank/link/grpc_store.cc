#include "worker/rank/link/grpc_store.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>

#include "absl/time/time.h"
#include "common/clock.h"
#include "common/rpc/errors.h"
#include "common/rpc/retry.h"
#include "muster/internal/v1/worker.grpc.pb.h"

namespace muster {
namespace {

using muster::internal::v1::RendezvousRequest;
using muster::internal::v1::RendezvousResponse;
using std::chrono::milliseconds;

constexpr absl::Duration kSlice = absl::Seconds(10);  // the longest wait of one call; a longer wait takes several calls
constexpr absl::Duration kGrace = absl::Seconds(10);  // time for the answer to arrive

class GrpcStore final : public c10d::Store {
 public:
  GrpcStore(std::shared_ptr<grpc::Channel> channel, const std::string& job_id, uint32_t attempt)
      : channel_(std::move(channel)),
        stub_(muster::internal::v1::WorkerService::NewStub(channel_)),
        job_id_(job_id),
        attempt_(attempt) {}

  c10::intrusive_ptr<Store> clone() override {
    auto copy = c10::make_intrusive<GrpcStore>(channel_, job_id_, attempt_);
    copy->setTimeout(timeout_);
    return copy;
  }

  void set(const std::string& key, const std::vector<uint8_t>& value) override {
    RendezvousRequest request;
    request.mutable_set()->set_key(key);
    request.mutable_set()->set_value(value.data(), value.size());
    Call(request, Repeat::kYes);
  }
  std::vector<uint8_t> get(const std::string& key) override {
    const std::string value = Wait({key}, timeout_, /*keys_only=*/false).values(0);
    return {value.begin(), value.end()};
  }
  int64_t add(const std::string& key, int64_t amount) override {
    RendezvousRequest request;
    request.mutable_add()->set_key(key);
    request.mutable_add()->set_amount(amount);
    return Call(request, Repeat::kNo).number();
  }
  std::vector<uint8_t> compareSet(const std::string& key, const std::vector<uint8_t>& expected,
                                  const std::vector<uint8_t>& desired) override {
    RendezvousRequest request;
    request.mutable_compare_set()->set_key(key);
    request.mutable_compare_set()->set_expected(expected.data(), expected.size());
    request.mutable_compare_set()->set_desired(desired.data(), desired.size());
    const RendezvousResponse response = Call(request, Repeat::kNo);
    if (response.values_size() != 1) C10_THROW_ERROR(DistStoreError, "rendezvous: compare_set without a value");
    return {response.values(0).begin(), response.values(0).end()};
  }
  bool deleteKey(const std::string& key) override {
    RendezvousRequest request;
    request.mutable_delete_()->set_key(key);
    return Call(request, Repeat::kYes).found();
  }
  bool check(const std::vector<std::string>& keys) override { return Get(keys, absl::ZeroDuration(), true).found(); }
  int64_t getNumKeys() override {
    RendezvousRequest request;
    request.mutable_count();
    return Call(request, Repeat::kYes).number();
  }
  void wait(const std::vector<std::string>& keys) override { wait(keys, timeout_); }
  void wait(const std::vector<std::string>& keys, const milliseconds& timeout) override { Wait(keys, timeout, true); }

 private:
  enum class Repeat { kNo, kYes };  // whether a call may be retried if its outcome is unknown

  RendezvousResponse Get(const std::vector<std::string>& keys, absl::Duration timeout, bool keys_only) {
    RendezvousRequest request;
    for (const std::string& key : keys) request.mutable_get()->add_keys(key);
    request.mutable_get()->set_timeout_milliseconds(static_cast<uint32_t>(absl::ToInt64Milliseconds(timeout)));
    request.mutable_get()->set_keys_only(keys_only);
    return Call(request, Repeat::kYes, timeout);
  }

  RendezvousResponse Wait(const std::vector<std::string>& keys, milliseconds timeout, bool keys_only) {
    const absl::Duration end = RealClock().Monotonic() + absl::FromChrono(timeout);
    while (true) {
      const absl::Duration left = std::max(absl::ZeroDuration(), end - RealClock().Monotonic());
      RendezvousResponse response = Get(keys, std::min(left, kSlice), keys_only);
      if (response.found()) {
        if (!keys_only && response.values_size() != static_cast<int>(keys.size())) {
          C10_THROW_ERROR(DistStoreError, "rendezvous: keys without values");
        }
        return response;
      }
      if (left <= kSlice) {
        C10_THROW_ERROR(DistStoreError, "rendezvous: the other ranks did not arrive in time (key " + keys[0] + ")");
      }
    }
  }

  RendezvousResponse Call(RendezvousRequest& request, Repeat repeat, absl::Duration wait = absl::ZeroDuration()) {
    request.set_job_id(job_id_);
    request.set_attempt(attempt_);
    const absl::Duration end = RealClock().Monotonic() + absl::FromChrono(timeout_);
    for (absl::Duration pause = absl::Milliseconds(100);; pause = std::min(2 * pause, absl::Duration(absl::Seconds(5)))) {
      grpc::ClientContext context;
      context.set_wait_for_ready(true);
      // A call that is not retried must last longer than the coordinator may be frozen.
      const absl::Duration patience = repeat == Repeat::kNo ? absl::FromChrono(timeout_) : wait + kGrace;
      context.set_deadline(absl::ToChronoTime(RealClock().Now() + patience));
      RendezvousResponse response;
      const absl::Status status = FromGrpc(stub_->Rendezvous(&context, request, &response));
      if (status.ok()) return response;
      if (repeat == Repeat::kNo || !IsRetryable(status) || RealClock().Monotonic() >= end) {
        C10_THROW_ERROR(DistStoreError, "rendezvous at the coordinator: " + std::string(status.message()));
      }
      PauseBeforeRetry(*channel_, pause);
    }
  }

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<muster::internal::v1::WorkerService::Stub> stub_;
  const std::string job_id_;
  const uint32_t attempt_;
};

}  // namespace

c10::intrusive_ptr<c10d::Store> MakeGrpcStore(std::shared_ptr<grpc::Channel> coordinator, const std::string& job_id,
                                              uint32_t attempt) {
  return c10::make_intrusive<GrpcStore>(std::move(coordinator), job_id, attempt);
}

}  // namespace muster
