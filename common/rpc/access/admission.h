// Every handler of a server goes through Admission once:
//
//   grpc::Status GetJob(grpc::ServerContext* context, const GetJobRequest* request, GetJobResponse* response) override {
//     return admission_.Serve(*context, "JobService/GetJob", request, [&](AdmittedCall& call) -> absl::Status { … });
//   }
//
// It authenticates the caller (certificate or token), authorizes the call by the access table, limits rate and size,
// and after the handler writes the audit log, counts the call, and adds the request's id to an error.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/rpc/access/access_table.h"
#include "common/rpc/access/audit.h"
#include "common/rpc/access/rate_limit.h"
#include "common/rpc/access/tokens.h"
#include "common/rpc/errors.h"
#include "common/rpc/principal.h"

namespace muster {

// Counts calls; for metrics. Thread-safe.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  virtual void Ended(std::string_view method, absl::StatusCode code, absl::Duration time) = 0;
  virtual void Rejected(std::string_view reason) = 0;  // unauthenticated, denied, rate_limited, too_large
};

// One call while it is being served.
struct AdmittedCall {
  Principal principal;
  std::string request_id;
  std::string subject;  // set by the handler: what the call is about, for the audit log: a job, a dataset, a digest
  std::string method;
  const AccessRule* rule = nullptr;
  absl::Time time;
  absl::Duration start;
  bool admitted = false;
};

// Thread-safe.
class Admission {
 public:
  struct Options {
    std::filesystem::path tokens;  // the file; empty: no token is accepted
    std::filesystem::path audit;  // the folder; empty: no audit log
    HasRoom audit_room = AlwaysRoom();  // if there is no room, audit lines are only counted
    UserLimits limits;  // for users; processes have no limits
    CallObserver* observer = nullptr;
    const Clock* clock = &RealClock();
  };
  static absl::StatusOr<std::unique_ptr<Admission>> Create(const Options& options);

  // `method`: as in the access table. `request`: the message; null for a stream of messages.
  template <typename Work>  // absl::Status(AdmittedCall&)
  grpc::Status Serve(grpc::ServerContextBase& context, std::string_view method, const google::protobuf::Message* request,
                     Work&& work) {
    AdmittedCall call;
    absl::Status status = Begin(context, method, request, call);
    if (status.ok()) {
      const ScopedLogFields about({.request_id = call.request_id});
      status = work(call);
    }
    return End(context, call, std::move(status));
  }

  // For calls that gRPC serves without a thread (reactors): call Begin first, which admits the call or returns the error to
  // finish with, and End last, with the call's result; it returns the status to finish with.
  absl::Status Begin(grpc::ServerContextBase& context, std::string_view method, const google::protobuf::Message* request,
                     AdmittedCall& call);
  grpc::Status End(grpc::ServerContextBase& context, AdmittedCall& call, absl::Status status);

  // Call this regularly in a handler with a long stream (it reads the file at most once per second). UNAUTHENTICATED
  // or PERMISSION_DENIED: the token was revoked, has expired, or now has another role. End the stream with that status.
  absl::Status StillAdmitted(const grpc::ServerContextBase& context, const AdmittedCall& call);

 private:
  explicit Admission(const Options& options) : options_(options), limiter_(options.limits) {}
  absl::StatusOr<Principal> Authenticate(const grpc::ServerContextBase& context, absl::Time now);

  const Options options_;
  RateLimiter limiter_;
  std::unique_ptr<TokenFile> tokens_;
  std::unique_ptr<AuditLog> audit_;
};

}  // namespace muster
