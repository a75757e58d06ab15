#include "common/rpc/access/ticket.h"

#include <algorithm>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/rpc/x509.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

using muster::internal::v1::SignedTicket;
using muster::internal::v1::Ticket;

constexpr std::string_view kPurpose("muster ticket v1\0", 17);
constexpr absl::Duration kClockSkew = absl::Minutes(5);

using DigestContext = std::unique_ptr<EVP_MD_CTX, OpenSslFree<EVP_MD_CTX, &EVP_MD_CTX_free>>;

// The digest to use with this kind of key. Null for Ed25519, which hashes internally.
const EVP_MD* HashFor(EVP_PKEY* key) {
  const int kind = EVP_PKEY_get_id(key);
  return kind == EVP_PKEY_ED25519 || kind == EVP_PKEY_ED448 ? nullptr : EVP_sha256();
}

const unsigned char* Data(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

absl::Status Bad(absl::string_view why) {
  return WithReason(absl::UnauthenticatedError(absl::StrCat("ticket: ", why)), "BAD_TICKET");
}

absl::Status CheckSignature(EVP_PKEY* key, const SignedTicket& sealed) {
  const std::string text = absl::StrCat(ToAbsl(kPurpose), sealed.ticket());
  const DigestContext context(EVP_MD_CTX_new());
  if (context == nullptr || EVP_DigestVerifyInit(context.get(), nullptr, HashFor(key), nullptr, key) != 1 ||
      EVP_DigestVerify(context.get(), Data(sealed.signature()), sealed.signature().size(), Data(text), text.size()) !=
          1) {
    return Bad("the signature was not made with its certificate's key");
  }
  return absl::OkStatus();
}

}  // namespace

Ticket TicketFor(const muster::internal::v1::Assignment& assignment, const std::string& worker, absl::Time now) {
  Ticket ticket;
  ticket.set_job_id(assignment.job_id());
  ticket.set_attempt(assignment.attempt());
  ticket.set_worker(worker);
  ticket.set_world_size(assignment.world_size());
  for (const auto& rank : assignment.ranks()) ticket.add_ranks(rank.rank());
  const muster::v1::ResolvedJob& resolved = assignment.resolved();
  std::set<std::string> datasets = {resolved.train_dataset(), resolved.evaluate_dataset(), resolved.report_dataset(),
                                    resolved.mine_dataset()};
  datasets.insert(resolved.train_datasets().begin(), resolved.train_datasets().end());
  std::set<std::string> manifests = {resolved.model_manifest(), resolved.tokenizer_manifest()};
  for (const auto& checkpoint : assignment.checkpoints()) manifests.insert(checkpoint.manifest());
  if (resolved.has_model_checkpoint()) {
    for (const muster::v1::ModelCheckpoint* link = &resolved.model_checkpoint();; link = &link->base()) {
      manifests.insert({link->manifest(), link->tokenizer_manifest()});
      if (!link->has_base()) break;
    }
  }
  datasets.erase("");
  manifests.erase("");
  for (const std::string& digest : datasets) ticket.add_datasets(digest);
  for (const std::string& digest : manifests) ticket.add_manifests(digest);
  if (!resolved.tokenizer().empty()) ticket.add_tokenizers(resolved.tokenizer());
  ticket.set_mined_dataset(assignment.spec().mine().out());
  ticket.set_mined_owner(resolved.mine_owner());
  ticket.mutable_issued()->set_seconds(absl::ToUnixSeconds(now));
  return ticket;
}

absl::StatusOr<std::string> SignTicket(const Ticket& ticket, const CertificateFiles& signer) {
  ASSIGN_OR_RETURN(const KeyPtr key, KeyFromPem(signer.key));
  SignedTicket sealed;
  sealed.set_ticket(ticket.SerializeAsString());
  sealed.set_chain(signer.certificate);
  const std::string text = absl::StrCat(ToAbsl(kPurpose), sealed.ticket());
  const DigestContext context(EVP_MD_CTX_new());
  size_t size = 0;
  std::string& signature = *sealed.mutable_signature();
  const auto sign = [&](unsigned char* out) {
    return EVP_DigestSign(context.get(), out, &size, Data(text), text.size()) == 1;
  };
  if (context == nullptr || EVP_DigestSignInit(context.get(), nullptr, HashFor(key.get()), nullptr, key.get()) != 1 ||
      !sign(nullptr)) {
    return absl::InternalError("ticket: the coordinator's key cannot sign");
  }
  signature.resize(size);
  if (!sign(reinterpret_cast<unsigned char*>(signature.data()))) {
    return absl::InternalError("ticket: the coordinator's key cannot sign");
  }
  signature.resize(size);
  return sealed.SerializeAsString();
}

absl::StatusOr<Ticket> ReadTicket(std::string_view bytes, const std::string& authority, absl::Time now) {
  SignedTicket sealed;
  Ticket ticket;
  if (!sealed.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      !ticket.ParseFromString(sealed.ticket())) {
    return Bad("it cannot be read");
  }
  auto chain = CertificatesFromPem(sealed.chain());
  if (!chain.ok()) return Bad(chain.status().message());
  ASSIGN_OR_RETURN(const auto authorities, CertificatesFromPem(authority));
  const CertificatePtr leaf = std::move(chain->front());
  chain->erase(chain->begin());
  if (PrincipalOf(leaf.get()).role != Role::kCoordinator) return Bad("it is not signed by a coordinator");
  const absl::Time issued = absl::FromUnixSeconds(ticket.issued().seconds());
  if (issued > now + kClockSkew)
    return Bad("its time is in the future. Are the clocks of the coordinator and this host right?");
  // Verified as of the time of signing, because jobs run longer than a certificate may be valid.
  if (const absl::Status status = VerifyChain(leaf.get(), *chain, authorities, issued); !status.ok()) {
    return Bad(absl::StrCat("the certificate of its coordinator: ", status.message()));
  }
  const KeyPtr key(X509_get_pubkey(leaf.get()));
  if (key == nullptr) return Bad("its certificate has no key");
  RETURN_IF_ERROR(CheckSignature(key.get(), sealed));
  return ticket;
}

absl::Status TicketBook::Fill(muster::internal::v1::DesiredState& desired, const std::string& worker,
                              const CertificateFiles& signer, absl::Time now) {
  std::map<Key, std::string>& known = signed_[worker];
  std::map<Key, std::string> kept;
  for (muster::internal::v1::Assignment& assignment : *desired.mutable_assignments()) {
    const Key key = {assignment.job_id(), assignment.attempt()};
    std::string& ticket = kept[key];
    const auto found = known.find(key);
    if (found != known.end()) {
      ticket = found->second;
    } else {
      ASSIGN_OR_RETURN(ticket, SignTicket(TicketFor(assignment, worker, now), signer));
    }
    assignment.set_ticket(ticket);
  }
  known = std::move(kept);
  if (known.empty()) signed_.erase(worker);
  return absl::OkStatus();
}

}  // namespace muster
