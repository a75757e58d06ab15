// Tickets tell the data server what a worker was assigned, so that it need not ask the coordinator.
//
// With the key of its certificate, the coordinator signs a list of what each assignment needs. Agent and rank pass it along.
// The data server checks that the signature leads through the coordinator's certificate to the authority that both trust. A
// ticket is valid only for the worker that it names, and only on a connection (or with a token) of that worker. It does not
// expire: a newer attempt of the job fences it, and the worker had access to everything that it opens anyway.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/certificate_folder.h"
#include "muster/internal/v1/ticket.pb.h"
#include "muster/internal/v1/worker.pb.h"

namespace muster {

// What the worker may do with this assignment; not signed.
muster::internal::v1::Ticket TicketFor(const muster::internal::v1::Assignment& assignment, const std::string& worker,
                                       absl::Time now);

// Bytes of a SignedTicket.
absl::StatusOr<std::string> SignTicket(const muster::internal::v1::Ticket& ticket, const CertificateFiles& signer);

// UNAUTHENTICATED (BAD_TICKET): the signer is not a coordinator whose certificate, at the time of signing, led to one of
// `authority`'s certificates (PEM).
absl::StatusOr<muster::internal::v1::Ticket> ReadTicket(std::string_view bytes, const std::string& authority,
                                                        absl::Time now);

// The coordinator's signer: signs each worker's assignments once, so that an unchanged assignment keeps the same bytes.
class TicketBook {
 public:
  // Fills in `ticket` of each assignment. Not thread-safe.
  absl::Status Fill(muster::internal::v1::DesiredState& desired, const std::string& worker,
                    const CertificateFiles& signer, absl::Time now);

 private:
  using Key = std::pair<std::string, uint32_t>;               // job, attempt
  std::map<std::string, std::map<Key, std::string>> signed_;  // by worker
};

}  // namespace muster
