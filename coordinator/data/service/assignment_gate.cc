#include "coordinator/data/service/assignment_gate.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/rpc/access/ticket.h"
#include "common/rpc/metadata.h"
#include "common/status.h"
#include "coordinator/data/blob/model_files.h"

namespace muster {
namespace {

using muster::internal::v1::Ticket;

absl::Status NotAssigned(const Ticket& ticket, const std::string& what) {
  return WithReason(
      absl::PermissionDeniedError(absl::StrCat("worker ", ticket.worker(), ", job ", ticket.job_id(), ", attempt ",
                                               ticket.attempt(), ": ", what, " is not part of its assignment")),
      "NOT_ASSIGNED");
}

template <typename Values, typename Value>
bool Has(const Values& values, const Value& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

}  // namespace

absl::StatusOr<AssignmentGate> AssignmentGate::Create(const Options& options) {
  AssignmentGate gate(options);
  if (!options.certificates.empty()) {
    ASSIGN_OR_RETURN(gate.watch_, CertificateWatch::Of(options.certificates));
  }
  return gate;
}

absl::StatusOr<std::optional<Ticket>> AssignmentGate::TicketOf(const grpc::ServerContext& context,
                                                               const Principal& caller) const {
  if (caller.role != Role::kWorker || watch_ == nullptr) return std::nullopt;
  const std::string bytes = MetadataOf(context, kTicketMetadata);
  if (bytes.empty()) {
    return WithReason(
        absl::PermissionDeniedError(absl::StrCat(
            "worker ", caller.name, " shows no ticket of its coordinator. Is the coordinator of this version?")),
        "NOT_ASSIGNED");
  }
  ASSIGN_OR_RETURN(Ticket ticket, ReadTicket(bytes, watch_->current().authority, options_.clock->Now()));
  if (!ActsFor(caller, ticket.worker())) {
    return WithReason(absl::PermissionDeniedError(absl::StrCat("the ticket is of worker ", ticket.worker(),
                                                               ", and the caller is ", caller.name)),
                      "NOT_ASSIGNED");
  }
  return ticket;
}

absl::Status AssignmentGate::AdmitStream(const grpc::ServerContext& context, const Principal& caller,
                                         const muster::internal::v1::RankIdentity& identity,
                                         const muster::v1::ResolvedJob& resolved,
                                         const std::vector<std::string>& datasets) const {
  ASSIGN_OR_RETURN(const std::optional<Ticket> ticket, TicketOf(context, caller));
  if (!ticket.has_value()) return absl::OkStatus();
  if (ticket->job_id() != identity.job_id() || ticket->attempt() != identity.attempt() ||
      ticket->world_size() != identity.world_size() || !Has(ticket->ranks(), identity.rank())) {
    return NotAssigned(*ticket, absl::StrCat("rank ", identity.rank(), " of ", identity.world_size(), " of job ",
                                             identity.job_id(), ", attempt ", identity.attempt(), ","));
  }
  for (const std::string& dataset : datasets) {
    if (!Has(ticket->datasets(), dataset)) return NotAssigned(*ticket, absl::StrCat("dataset ", dataset.substr(0, 12)));
  }
  if (!Has(ticket->tokenizers(), resolved.tokenizer())) {
    return NotAssigned(*ticket, absl::StrCat("tokenizer ", resolved.tokenizer().substr(0, 12)));
  }
  return absl::OkStatus();
}

absl::Status AssignmentGate::AdmitMined(const grpc::ServerContext& context, const Principal& caller,
                                        const muster::internal::v1::PublishMinedRequest& request) const {
  RETURN_IF_ERROR(AdmitStream(context, caller, request.identity(), request.resolved(), {request.resolved().mine_dataset()}));
  ASSIGN_OR_RETURN(const std::optional<Ticket> ticket, TicketOf(context, caller));
  if (!ticket.has_value()) return absl::OkStatus();
  const std::string& out = request.spec().mine().out();
  if (ticket->mined_dataset() == out && ticket->mined_owner() == request.resolved().mine_owner()) return absl::OkStatus();
  return NotAssigned(*ticket, absl::StrCat("making dataset ", out, " for ", request.resolved().mine_owner()));
}

absl::Status AssignmentGate::AdmitRead(const grpc::ServerContext& context, const Principal& caller,
                                       const std::string& digest, const BlobStore& blobs) const {
  ASSIGN_OR_RETURN(const std::optional<Ticket> ticket, TicketOf(context, caller));
  if (!ticket.has_value()) return absl::OkStatus();
  RETURN_IF_ERROR(options_.fence->Admit(ticket->job_id(), ticket->attempt()));
  if (Has(ticket->manifests(), digest)) return absl::OkStatus();
  for (const std::string& manifest : ticket->manifests()) {
    const absl::StatusOr<muster::v1::FileManifest> files = ReadManifestBlob(blobs, manifest);
    if (!files.ok()) continue;  // a dropped checkpoint; the rank notices when it asks for it
    for (const muster::v1::FileEntry& file : files->files()) {
      if (file.digest() == digest) return absl::OkStatus();
    }
  }
  return NotAssigned(*ticket, absl::StrCat("blob ", digest.substr(0, 12)));
}

absl::Status AssignmentGate::AdmitWrite(const grpc::ServerContext& context, const Principal& caller) const {
  ASSIGN_OR_RETURN(const std::optional<Ticket> ticket, TicketOf(context, caller));
  if (!ticket.has_value()) return absl::OkStatus();
  return options_.fence->Admit(ticket->job_id(), ticket->attempt());
}

}  // namespace muster
