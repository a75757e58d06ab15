// One unary call with a deadline, retried for a short while if there is no answer. Every mutation carries a request id,
// so that a retry changes nothing.
#pragma once

#include <grpcpp/client_context.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/rpc/errors.h"
#include "common/rpc/metadata.h"
#include "common/status.h"

namespace muster {

struct CallOptions {
  absl::Duration deadline = absl::Seconds(60);  // of one try
  absl::Duration patience = absl::Seconds(5);  // how long to retry if the cluster does not answer
  std::vector<std::string>* notes = nullptr;    // where to put the notes sent with the answer; may be null
};

// A random UUID, version 4 (RFC 9562).
std::string NewRequestId();

// The server's certificate was refused. It would be refused again, and a retry only delays the error.
bool IsWrongCertificate(const absl::Status& status);

// Explains an UNAVAILABLE to the user; other errors are unchanged.
absl::Status ExplainUnreachable(const absl::Status& status);

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                              const Request& request, const CallOptions& options = {}) {
  const absl::Duration start = RealClock().Monotonic();
  absl::Duration deadline = options.deadline;
  absl::Status unreachable;  // the error of the first try
  const std::string request_id = NewRequestId();  // the same for all tries
  while (true) {
    grpc::ClientContext context;
    context.AddMetadata(kRequestIdMetadata, request_id);
    context.set_deadline(absl::ToChronoTime(RealClock().Now() + deadline));
    // The first try fails fast; the next ones wait for the connection, and so drive it (common/rpc/retry.h).
    context.set_wait_for_ready(!unreachable.ok());
    Response response;
    const absl::Status status = FromGrpc((stub.*method)(&context, request, &response));
    if (status.ok()) {
      if (options.notes != nullptr) *options.notes = NotesOf(context);
      return response;
    }
    if (!unreachable.ok() && absl::IsDeadlineExceeded(status)) return ExplainUnreachable(unreachable);
    const absl::Duration left = options.patience - (RealClock().Monotonic() - start);
    if (const absl::Duration delay = RateLimitOf(status); delay > absl::ZeroDuration() && delay <= left) {
      absl::SleepFor(delay);  // the server's own retry delay
      continue;
    }
    // A server that shuts down cancels the calls that are still running after its grace period.
    if (!absl::IsUnavailable(status) && !absl::IsCancelled(status)) return status;
    unreachable = absl::UnavailableError(status.message());
    if (IsWrongCertificate(status)) return ExplainUnreachable(unreachable);
    deadline = left;
    if (deadline <= absl::ZeroDuration()) return ExplainUnreachable(unreachable);
  }
}

// All pages of a list as one answer. Sets the page token of the request.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> CallAllPages(Stub& stub,
                                      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                      Request request) {
  Response all;
  do {
    const absl::StatusOr<Response> page = Call(stub, method, request);
    if (!page.ok()) return page.status();
    all.MergeFrom(*page);
    request.set_page_token(page->next_page_token());
    all.clear_next_page_token();
  } while (!request.page_token().empty());
  return all;
}

// `given`, or a new id if it is empty.
std::string RequestIdOr(const std::string& given);

}  // namespace muster
