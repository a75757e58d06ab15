// Restricts workers to what the coordinator assigned to them, by their tickets (common/rpc/access/ticket.h).
#pragma once

#include <grpcpp/server_context.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/clock.h"
#include "common/rpc/certificate_watch.h"
#include "common/rpc/principal.h"
#include "coordinator/data/blob/blob_store.h"
#include "coordinator/data/service/attempt_fence.h"
#include "muster/internal/v1/data_plane.pb.h"
#include "muster/internal/v1/ticket.pb.h"

namespace muster {

// Thread-safe. Callers other than workers pass, because the access table decides for them. Refusals are
// PERMISSION_DENIED (NOT_ASSIGNED), UNAUTHENTICATED (BAD_TICKET) and FAILED_PRECONDITION (STALE_ATTEMPT).
class AssignmentGate {
 public:
  struct Options {
    std::filesystem::path certificates;  // the data server's, with the authority; empty: an insecure server
    AttemptFence* fence = nullptr;
    const Clock* clock = &RealClock();
  };
  static absl::StatusOr<AssignmentGate> Create(const Options& options);

  // Allows the rank, attempt and world of the ticket, and the datasets and the tokenizer that its job was resolved to.
  absl::Status AdmitStream(const grpc::ServerContext& context, const Principal& caller,
                           const muster::internal::v1::RankIdentity& identity, const muster::v1::ResolvedJob& resolved,
                           const std::vector<std::string>& datasets) const;
  // Like AdmitStream. Also, the dataset that the job makes and its owner must be those of the ticket.
  absl::Status AdmitMined(const grpc::ServerContext& context, const Principal& caller,
                          const muster::internal::v1::PublishMinedRequest& request) const;
  // Allows a manifest of the ticket, or a file of one.
  absl::Status AdmitRead(const grpc::ServerContext& context, const Principal& caller, const std::string& digest,
                         const BlobStore& blobs) const;
  // Any running rank may store blobs: they are identified by their content, so a new one replaces nothing.
  absl::Status AdmitWrite(const grpc::ServerContext& context, const Principal& caller) const;

 private:
  explicit AssignmentGate(const Options& options) : options_(options) {}
  // No ticket for callers that need none.
  absl::StatusOr<std::optional<muster::internal::v1::Ticket>> TicketOf(const grpc::ServerContext& context,
                                                                       const Principal& caller) const;

  Options options_;
  CertificateWatch* watch_ = nullptr;
};

}  // namespace muster
