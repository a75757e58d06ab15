#include "common/rpc/access/ticket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/clock.h"
#include "common/deterministic_bytes.h"
#include "common/files.h"
#include "common/rpc/certificates.h"
#include "common/status.h"

namespace muster {
namespace {

using muster::internal::v1::Ticket;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TicketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = MakeScratchFolder(testing::TempDir(), "ticket").value();
    ASSERT_TRUE(MakeAuthority(folder_ / "ca").ok());
    ASSERT_TRUE(MakeAuthority(folder_ / "other").ok());
    authority_ = ReadFile(folder_ / "ca/ca.pem").value();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  CertificateFiles Issue(Role role, const std::string& authority = "ca") {
    const auto target = folder_ / (authority + "-" + std::string(RoleName(role)));
    EXPECT_TRUE(IssueCertificate(folder_ / authority, {.role = role, .name = "x"}, target).ok());
    return ReadCertificateFolder(target).value();
  }
  static muster::internal::v1::Assignment Assignment() {
    muster::internal::v1::Assignment assignment;
    assignment.set_job_id("j1");
    assignment.set_attempt(2);
    assignment.set_world_size(4);
    assignment.add_ranks()->set_rank(1);
    assignment.add_ranks()->set_rank(3);
    assignment.mutable_resolved()->set_train_dataset("d1");
    assignment.mutable_resolved()->add_train_datasets("d3");
    assignment.mutable_resolved()->set_report_dataset("d1");
    assignment.mutable_resolved()->set_evaluate_dataset("d2");
    assignment.mutable_resolved()->set_tokenizer("t");
    assignment.mutable_resolved()->set_tokenizer_manifest("tm");
    assignment.add_checkpoints()->set_manifest("c1");
    return assignment;
  }
  absl::Status Read(const std::string& bytes) { return ReadTicket(bytes, authority_, now_).status(); }

  std::filesystem::path folder_;
  std::string authority_;
  const absl::Time now_ = RealClock().Now();
};

TEST_F(TicketTest, SaysWhatTheAssignmentNeeds) {
  const Ticket ticket = TicketFor(Assignment(), "w1", now_);
  const auto read = ReadTicket(SignTicket(ticket, Issue(Role::kCoordinator)).value(), authority_, now_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(DeterministicBytes(*read), DeterministicBytes(ticket));
  EXPECT_EQ(read->job_id(), "j1");
  EXPECT_EQ(read->attempt(), 2u);
  EXPECT_EQ(read->worker(), "w1");
  EXPECT_THAT(read->ranks(), ElementsAre(1, 3));
  EXPECT_THAT(read->datasets(), ElementsAre("d1", "d2", "d3"));
  EXPECT_THAT(read->manifests(), ElementsAre("c1", "tm"));
  EXPECT_THAT(read->tokenizers(), ElementsAre("t"));
  EXPECT_EQ(read->mined_dataset() + read->mined_owner(), "");
}

TEST_F(TicketTest, NamesTheDatasetThatAMiningJobMakesAndItsOwner) {
  muster::internal::v1::Assignment assignment = Assignment();
  assignment.mutable_resolved()->set_mine_dataset("d4");
  assignment.mutable_resolved()->set_mine_owner("ada");
  assignment.mutable_spec()->mutable_mine()->set_out("mined");
  const Ticket ticket = TicketFor(assignment, "w1", now_);
  EXPECT_THAT(ticket.datasets(), ElementsAre("d1", "d2", "d3", "d4"));
  EXPECT_EQ(ticket.mined_dataset(), "mined");
  EXPECT_EQ(ticket.mined_owner(), "ada");
}

TEST_F(TicketTest, OnlyACoordinatorOfTheAuthorityMaySign) {
  const Ticket ticket = TicketFor(Assignment(), "w1", now_);
  for (const Role role : {Role::kViewer, Role::kSubmitter, Role::kOperator, Role::kWorker, Role::kData}) {
    const absl::Status status = Read(SignTicket(ticket, Issue(role)).value());
    EXPECT_EQ(ReasonOf(status), "BAD_TICKET") << RoleName(role);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  }
  EXPECT_THAT(std::string(Read(SignTicket(ticket, Issue(Role::kCoordinator, "other")).value()).message()),
              HasSubstr("the certificate of its coordinator"));
  // Another coordinator's chain is useless without its key.
  CertificateFiles forged = Issue(Role::kCoordinator);
  forged.key = Issue(Role::kWorker).key;
  EXPECT_THAT(std::string(Read(SignTicket(ticket, forged).value()).message()), HasSubstr("signature"));
}

TEST_F(TicketTest, NoByteCanBeChanged) {
  const std::string bytes = SignTicket(TicketFor(Assignment(), "w1", now_), Issue(Role::kCoordinator)).value();
  ASSERT_TRUE(Read(bytes).ok());
  muster::internal::v1::SignedTicket sealed;
  ASSERT_TRUE(sealed.ParseFromString(bytes));
  for (size_t i = 0; i < sealed.ticket().size(); ++i) {
    muster::internal::v1::SignedTicket changed = sealed;
    (*changed.mutable_ticket())[i] ^= 1;
    EXPECT_FALSE(Read(changed.SerializeAsString()).ok()) << "byte " << i;
  }
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(Read(bytes.substr(0, size)).ok()) << size << " bytes";
}

TEST_F(TicketTest, HoldsAfterItsSignersCertificateExpiredButNotBeforeItBegan) {
  const CertificateFiles signer = Issue(Role::kCoordinator);
  const std::string bytes = SignTicket(TicketFor(Assignment(), "w1", now_), signer).value();
  EXPECT_TRUE(ReadTicket(bytes, authority_, now_ + absl::Hours(24 * 1000)).ok());
  EXPECT_FALSE(ReadTicket(bytes, authority_, now_ - absl::Hours(1)).ok()) << "its time is in the future";
  const absl::Time long_ago = now_ - absl::Hours(24);
  EXPECT_FALSE(Read(SignTicket(TicketFor(Assignment(), "w1", long_ago), signer).value()).ok());
}

TEST_F(TicketTest, OfABundleEitherAuthorityIsTrusted) {
  const std::string both = ReadFile(folder_ / "other/ca.pem").value() + authority_;
  const Ticket ticket = TicketFor(Assignment(), "w1", now_);
  for (const char* authority : {"ca", "other"}) {
    EXPECT_TRUE(ReadTicket(SignTicket(ticket, Issue(Role::kCoordinator, authority)).value(), both, now_).ok());
  }
}

TEST_F(TicketTest, AnAssignmentThatDoesNotChangeKeepsItsTicket) {
  const CertificateFiles signer = Issue(Role::kCoordinator);
  TicketBook book;
  muster::internal::v1::DesiredState first;
  *first.add_assignments() = Assignment();
  muster::internal::v1::DesiredState again = first, later = first;
  later.mutable_assignments(0)->set_attempt(3);
  ASSERT_TRUE(book.Fill(first, "w1", signer, now_).ok());
  ASSERT_TRUE(book.Fill(again, "w1", signer, now_ + absl::Hours(1)).ok());
  ASSERT_TRUE(book.Fill(later, "w1", signer, now_).ok());
  EXPECT_EQ(first.assignments(0).ticket(), again.assignments(0).ticket());
  EXPECT_NE(first.assignments(0).ticket(), later.assignments(0).ticket());
  EXPECT_EQ(ReadTicket(later.assignments(0).ticket(), authority_, now_)->attempt(), 3u);
}

TEST_F(TicketTest, HasTheCheckpointsThatTheModelIsMadeOf) {
  auto assignment = Assignment();
  muster::v1::ModelCheckpoint& link = *assignment.mutable_resolved()->mutable_model_checkpoint();
  link.set_manifest("m1");
  link.set_tokenizer_manifest("tm1");
  link.mutable_base()->set_manifest("m2");
  const Ticket ticket = TicketFor(assignment, "w1", now_);
  EXPECT_THAT(std::vector<std::string>(ticket.manifests().begin(), ticket.manifests().end()),
              ElementsAre("c1", "m1", "m2", "tm", "tm1"));
}

}  // namespace
}  // namespace muster
