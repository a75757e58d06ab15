// Credentials of a hostile client: tickets, certificates and versions. Laws: only the ticket that the coordinator
// signed is ever accepted, whatever parts a ticket is put together from; a certificate that leads to the authority is
// one it issued.
#include "common/rpc/access/ticket.h"

#include "common/deterministic_bytes.h"
#include "common/files.h"
#include "common/rpc/certificates.h"
#include "common/rpc/x509.h"
#include "common/version.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/random_message.h"
#include "tests/fuzz/scratch.h"

namespace muster {
namespace {

template <typename T>
T Ok(absl::StatusOr<T> value) {
  FUZZ_CHECK(value.ok(), value.status().ToString());
  return *std::move(value);
}

// Keys and certificates of this run: inputs only choose how they are combined.
struct World {
  World() {
    const auto folder = root.Fresh("certificates");
    for (const char* authority : {"ours", "theirs"}) FUZZ_CHECK(MakeAuthority(folder / authority).ok(), authority);
    const auto issue = [&](const char* authority, Role role) {
      const auto target = folder / "issued" / authority / RoleName(role);
      std::filesystem::create_directories(target);
      FUZZ_CHECK(IssueCertificate(folder / authority, {.role = role, .name = "x"}, target).ok(), authority);
      return Ok(ReadCertificateFolder(target));
    };
    coordinator = issue("ours", Role::kCoordinator);
    worker = issue("ours", Role::kWorker);
    foreign = issue("theirs", Role::kCoordinator);
    muster::internal::v1::Assignment assignment;
    assignment.set_job_id("j1");
    assignment.set_attempt(2);
    assignment.set_world_size(4);
    assignment.add_ranks()->set_rank(1);
    assignment.mutable_resolved()->set_train_dataset("d1");
    ticket = TicketFor(assignment, "w1", now);
    FUZZ_CHECK(sealed.ParseFromString(Ok(SignTicket(ticket, coordinator))), "our own ticket");
    FUZZ_CHECK(ReadTicket(sealed.SerializeAsString(), coordinator.authority, now).ok(), "our own ticket");
  }

  FuzzFolder root;
  const absl::Time now = absl::Now();
  CertificateFiles coordinator, worker, foreign;
  muster::internal::v1::Ticket ticket;
  muster::internal::v1::SignedTicket sealed;
};

std::string Edited(ByteSource& source, std::string text) {
  for (size_t edits = source.Below(4); edits > 0 && !text.empty(); --edits) {
    const size_t at = source.Take<uint16_t>() % text.size();
    switch (source.Below(3)) {
      case 0: text[at] = static_cast<char>(source.Byte()); break;
      case 1: text.insert(at, source.ShortBytes()); break;
      default: text.erase(at, source.Byte());
    }
  }
  return text;
}

void TryTicket(const World& world, ByteSource& source) {
  muster::internal::v1::Ticket wanted = world.ticket;
  if (source.Coin()) FillMessage(source, {"j1", "w1", "w2", "d1"}, wanted);
  const CertificateFiles* const signers[] = {&world.coordinator, &world.worker, &world.foreign};
  const CertificateFiles& by = *signers[1 + source.Below(2)];  // they do not have the coordinator's key
  muster::internal::v1::SignedTicket sealed = world.sealed;
  if (source.Coin()) FUZZ_CHECK(sealed.ParseFromString(Ok(SignTicket(wanted, by))), "a ticket of ours");
  if (source.Coin()) sealed.set_ticket(Edited(source, wanted.SerializeAsString()));
  if (source.Coin()) sealed.set_chain(Edited(source, signers[source.Below(3)]->certificate));
  if (source.Coin()) sealed.set_chain(sealed.chain() + signers[source.Below(3)]->certificate);
  if (source.Coin()) sealed.set_signature(Edited(source, world.sealed.signature()));
  const std::string bytes = Edited(source, sealed.SerializeAsString());
  const auto read = ReadTicket(bytes, world.coordinator.authority, world.now);
  if (read.ok()) {
    FUZZ_CHECK(DeterministicBytes(*read) == DeterministicBytes(world.ticket), "a ticket that nobody signed");
  } else {
    FUZZ_CHECK(absl::IsUnauthenticated(read.status()) && !read.status().message().empty(), read.status().ToString());
  }
}

std::string DerOf(X509* certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(certificate, &bytes);
  FUZZ_CHECK(size > 0, "our own certificate");
  std::string der(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

void TryCertificate(const World& world, ByteSource& source) {
  const auto issued = Ok(CertificatesFromPem(world.worker.certificate));
  const std::string der = Edited(source, DerOf(issued.front().get()));
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const CertificatePtr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate == nullptr) return;
  const Principal principal = PrincipalOf(certificate.get());
  HostsOf(certificate.get());
  NotBefore(certificate.get());
  NotAfter(certificate.get());
  const auto authorities = Ok(CertificatesFromPem(world.worker.authority));
  if (VerifyChain(certificate.get(), {}, authorities, world.now).ok()) {
    FUZZ_CHECK(principal.role == Role::kWorker && principal.name == "x", "a subject that nobody certified");
  }
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const muster::World world;
  muster::ByteSource source(data, size);
  switch (source.Below(5)) {
    case 0: muster::ReadTicket(source.Rest(), world.coordinator.authority, world.now).IgnoreError(); break;
    case 1: muster::CertificatesFromPem(source.Rest()).IgnoreError(); break;
    case 2: muster::TryCertificate(world, source); break;
    case 3: muster::VersionOfUserAgent(source.Rest()); break;
    default: muster::TryTicket(world, source);
  }
  return 0;
}
