#include "common/rpc/certificate_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/rpc/certificate_expiry.h"
#include "common/rpc/certificates.h"
#include "common/rpc/errors.h"
#include "common/rpc/security.h"
#include "muster/v1/blob.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::BlobService;

// Stat returns who calls; Get sends a message whenever the test asks, until the client cancels.
class EchoService final : public BlobService::Service {
 public:
  grpc::Status StatBlobs(grpc::ServerContext* context, const muster::v1::StatBlobsRequest*,
                         muster::v1::StatBlobsResponse* response) override {
    response->add_blobs()->set_digest(PrincipalOf(*context).name);
    return grpc::Status::OK;
  }
  grpc::Status PutBlob(grpc::ServerContext*, grpc::ServerReader<muster::v1::PutBlobRequest>* reader,
                       muster::v1::PutBlobResponse* response) override {
    muster::v1::PutBlobRequest request;
    while (reader->Read(&request)) response->mutable_digest()->append(request.chunk());
    return grpc::Status::OK;
  }
};

class CertificateWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = MakeScratchFolder(testing::TempDir(), "watch").value();
    for (const char* authority : {"old", "new"}) ASSERT_TRUE(MakeAuthority(folder_ / authority).ok());
    Issue("old", Role::kData, "server");
    Issue("old", Role::kViewer, "client");
    server_ = RpcServer::Start(
                  {.address = "127.0.0.1:0", .security = {.certificates = folder_ / "server"}, .services = {&service_}})
                  .value();
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  void Issue(const std::string& authority, Role role, const std::string& name) {
    ASSERT_TRUE(IssueCertificate(folder_ / authority, {.role = role, .name = name}, folder_ / name).ok());
  }
  std::string Pem(const std::string& path) { return ReadFile(folder_ / path).value(); }
  void Write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(folder_ / path, text).ok());
  }
  // A channel with a separate connection.
  std::shared_ptr<grpc::Channel> Fresh(const std::string& certificates) {
    grpc::ChannelArguments arguments;
    return MakeChannel(absl::StrCat("127.0.0.1:", server_->port()), {.certificates = folder_ / certificates}).value();
  }
  // The name that the server saw, or the error.
  std::string Call(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(RealClock().Now() + absl::Seconds(10)));
    muster::v1::StatBlobsResponse response;
    const grpc::Status status = BlobService::NewStub(channel)->StatBlobs(&context, {}, &response);
    return status.ok() ? response.blobs(0).digest() : absl::StrCat("error ", status.error_code());
  }
  // Waits at most 20 s until a new connection gives this result.
  bool Becomes(const std::string& certificates, const std::string& expected) {
    const absl::Duration end = RealClock().Monotonic() + absl::Seconds(20);
    while (RealClock().Monotonic() < end) {
      if (Call(Fresh(certificates)) == expected) return true;
      absl::SleepFor(absl::Milliseconds(50));
    }
    return false;
  }

  std::filesystem::path folder_;
  EchoService service_;
  std::unique_ptr<RpcServer> server_;
};

TEST_F(CertificateWatchTest, BothLayoutsAreRead) {
  const CertificateFiles own = ReadCertificateFolder(folder_ / "client").value();
  std::filesystem::create_directory(folder_ / "cm");
  Write("cm/ca.crt", own.authority);
  Write("cm/tls.crt", own.certificate);
  Write("cm/tls.key", own.key);
  EXPECT_EQ(ReadCertificateFolder(folder_ / "cm").value(), own);
  EXPECT_EQ(Call(Fresh("cm")), "client");
  const CertificateFacts facts = FactsOf(own).value();
  EXPECT_EQ(facts.subject.name, "client");
  EXPECT_EQ(facts.subject.role, Role::kViewer);
  EXPECT_LT(facts.not_before, RealClock().Now());
  EXPECT_GT(facts.not_after, RealClock().Now() + absl::Hours(24 * 364));
}

TEST_F(CertificateWatchTest, TheAuthorityIsReplacedInThreeStepsWhileAStreamStaysOpen) {
  grpc::ClientContext context;
  muster::v1::PutBlobResponse response;
  const auto stub = BlobService::NewStub(Fresh("client"));
  const auto stream = stub->PutBlob(&context, &response);
  const auto send = [&](const std::string& text) {
    muster::v1::PutBlobRequest request;
    request.set_chunk(text);
    return stream->Write(request);
  };
  ASSERT_TRUE(send("a"));
  // 1. Both are trusted.
  const std::string both = Pem("old/ca.pem") + Pem("new/ca.pem");
  Write("server/ca.pem", both);
  Write("client/ca.pem", both);
  Issue("new", Role::kViewer, "late");
  Write("late/ca.pem", both);
  EXPECT_TRUE(Becomes("late", "late")) << "a client of the new authority, a server of the old";
  ASSERT_TRUE(send("b"));
  // 2. Certificates of the new one.
  Issue("new", Role::kData, "server");
  Write("server/ca.pem", both);
  Issue("new", Role::kViewer, "only-new");
  EXPECT_TRUE(Becomes("only-new", "only-new")) << "a client that trusts only the new authority";
  EXPECT_EQ(Call(Fresh("client")), "client") << "old certificates are good still";
  ASSERT_TRUE(send("c"));
  // 3. The old one is no longer trusted.
  Write("server/ca.pem", Pem("new/ca.pem"));
  EXPECT_TRUE(Becomes("client", "error 14"));
  EXPECT_EQ(Call(Fresh("only-new")), "only-new");
  ASSERT_TRUE(send("d"));
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(response.digest(), "abcd");
}

TEST_F(CertificateWatchTest, AClientReconnectsWithItsNewCertificate) {
  const auto channel = Fresh("client");
  EXPECT_EQ(Call(channel), "client");
  ASSERT_TRUE(IssueCertificate(folder_ / "old", {.role = Role::kViewer, .name = "renamed"}, folder_ / "client").ok());
  const int port = server_->port();
  const absl::Duration end = RealClock().Monotonic() + absl::Seconds(30);
  std::string seen;
  while (seen != "renamed" && RealClock().Monotonic() < end) {
    server_.reset();  // breaks the connection of the old certificate
    server_ = RpcServer::Start({.address = absl::StrCat("127.0.0.1:", port),
                                .security = {.certificates = folder_ / "server"},
                                .services = {&service_}})
                  .value();
    channel->WaitForConnected(absl::ToChronoTime(RealClock().Now() + absl::Seconds(10)));
    seen = Call(channel);
  }
  EXPECT_EQ(seen, "renamed");
}

TEST_F(CertificateWatchTest, AFolderThatIsHalfWrittenIsNotUsed) {
  const CertificateFiles before = ReadCertificateFolder(folder_ / "server").value();
  CertificateWatch* const watch = CertificateWatch::Of(folder_ / "server").value();
  Issue("new", Role::kData, "next");
  const std::vector<std::pair<std::string, std::string>> steps = {
      {"server/cert.pem", Pem("next/cert.pem")},                 // the old key
      {"server/key.pem", ""},                                    //
      {"server/cert.pem", Pem("next/cert.pem").substr(0, 200)},  //
      {"server/ca.pem", Pem("old/ca.pem") + Pem("new/ca.pem").substr(0, 100)},
  };
  for (const auto& [path, text] : steps) {
    Write(path, text);
    EXPECT_FALSE(ReadCertificateFolder(folder_ / "server").ok()) << path;
    EXPECT_FALSE(watch->Refresh().ok()) << path;
    EXPECT_EQ(watch->current(), before) << path;
    EXPECT_EQ(Call(Fresh("client")), "client") << path;
  }
  EXPECT_FALSE(CertificateWatch::Of(folder_ / "nothing").ok());
  for (const char* file : {"ca.pem", "cert.pem", "key.pem"}) std::filesystem::remove(folder_ / "server" / file);
  EXPECT_EQ(Call(Fresh("client")), "client");
  EXPECT_EQ(watch->current(), before);
}

TEST_F(CertificateWatchTest, NotifiesListenersUntilTheyHaveHeardEnough) {
  CertificateWatch* const watch = CertificateWatch::Of(folder_ / "client").value();
  std::vector<std::string> names;
  watch->WhenChanged([&](const CertificateFiles& files) {
    names.push_back(FactsOf(files)->subject.name);
    return names.size() < 2;
  });
  for (const char* name : {"second", "third"}) {
    ASSERT_TRUE(IssueCertificate(folder_ / "old", {.role = Role::kViewer, .name = name}, folder_ / "client").ok());
    ASSERT_TRUE(watch->Refresh().ok());
  }
  EXPECT_THAT(names, testing::ElementsAre("client", "second"));
}

TEST_F(CertificateWatchTest, AProcessWithATokenReportsNoExpiry) {
  const std::filesystem::path folder = folder_ / "authority-alone";
  std::filesystem::create_directory(folder);
  std::filesystem::copy_file(folder_ / "old" / "ca.pem", folder / "ca.pem");
  MetricRegistry metrics(MetricProgram::kWorker, "1");
  ASSERT_TRUE(PublishCertificateExpiry(folder, metrics).ok());
  for (const prometheus::MetricFamily& family : metrics.registry()->Collect()) {
    EXPECT_NE(family.name, "muster_certificate_expiry_timestamp_seconds");
  }
}

TEST_F(CertificateWatchTest, TheGaugeOfItsEndFollowsWhileTheRegistryLives) {
  auto metrics = std::make_unique<MetricRegistry>(MetricProgram::kWorker, "1");
  ASSERT_TRUE(PublishCertificateExpiry(folder_ / "client", *metrics).ok());
  prometheus::Gauge& gauge = metrics->AddGauge("muster_certificate_expiry_timestamp_seconds");
  const auto end = [&] {
    return absl::ToDoubleSeconds(FactsOf(ReadCertificateFolder(folder_ / "client").value())->not_after - absl::UnixEpoch());
  };
  EXPECT_EQ(gauge.Value(), end());
  const CertificateRequest request = {.role = Role::kViewer, .name = "client", .lifetime = absl::Hours(1)};
  ASSERT_TRUE(IssueCertificate(folder_ / "old", request, folder_ / "client").ok());
  CertificateWatch* const watch = CertificateWatch::Of(folder_ / "client").value();
  EXPECT_LT(end(), absl::ToDoubleSeconds(RealClock().Now() + absl::Hours(2) - absl::UnixEpoch()));
  EXPECT_EQ(gauge.Value(), end());
  metrics.reset();
  ASSERT_TRUE(IssueCertificate(folder_ / "old", {.role = Role::kViewer, .name = "client"}, folder_ / "client").ok());
  EXPECT_TRUE(watch->Refresh().ok()) << "and nothing is written to what is gone";
}

}  // namespace
}  // namespace muster
