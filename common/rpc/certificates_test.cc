#include "common/rpc/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <mutex>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/rpc/errors.h"
#include "muster/v1/blob.grpc.pb.h"

namespace muster {
namespace {

using muster::v1::BlobService;
using ::testing::HasSubstr;

// Records who called.
class StatService final : public BlobService::Service {
 public:
  grpc::Status StatBlobs(grpc::ServerContext* context, const muster::v1::StatBlobsRequest*,
                         muster::v1::StatBlobsResponse*) override {
    const std::lock_guard lock(mutex_);
    caller_ = PrincipalOf(*context);
    return grpc::Status::OK;
  }
  Principal caller() {
    const std::lock_guard lock(mutex_);
    return caller_;
  }

 private:
  std::mutex mutex_;
  Principal caller_;
};

absl::Status Call(int port, const SecurityOptions& security) {
  const auto channel = MakeChannel(absl::StrCat("localhost:", port), security);
  if (!channel.ok()) return channel.status();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  muster::v1::StatBlobsRequest request;
  muster::v1::StatBlobsResponse response;
  return FromGrpc(BlobService::NewStub(*channel)->StatBlobs(&context, request, &response));
}

class CertificatesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-certs");
    ASSERT_TRUE(folder.ok()) << folder.status();
    folder_ = *folder;
    ASSERT_TRUE(MakeAuthority(folder_ / "ca").ok());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  SecurityOptions Issue(const std::string& authority, Role role, const std::string& name) {
    const auto target = folder_ / absl::StrCat(authority, "-", name);
    const absl::Status status = IssueCertificate(folder_ / authority, {.role = role, .name = name}, target);
    EXPECT_TRUE(status.ok()) << status;
    return {.certificates = target};
  }
  std::unique_ptr<RpcServer> Serve(const SecurityOptions& security) {
    auto server = RpcServer::Start({.address = "127.0.0.1:0", .security = security, .services = {&service_}});
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  }

  std::filesystem::path folder_;
  StatService service_;
};

TEST_F(CertificatesTest, UsersAndWorkersCannotPassAsServers) {
  const SecurityOptions client = Issue("ca", Role::kSubmitter, "ada");
  for (const Role role : {Role::kViewer, Role::kSubmitter, Role::kOperator, Role::kWorker}) {
    const auto server = Serve(Issue("ca", role, "eve"));
    EXPECT_EQ(Call(server->port(), client).code(), absl::StatusCode::kUnavailable) << RoleName(role);
  }
}

TEST_F(CertificatesTest, AUserIsKnownByNameAndRole) {
  const auto server = Serve(Issue("ca", Role::kData, "data"));
  EXPECT_EQ(Call(server->port(), Issue("ca", Role::kSubmitter, "ada")), absl::OkStatus());
  EXPECT_EQ(service_.caller().role, Role::kSubmitter);
  EXPECT_EQ(service_.caller().name, "ada");
}

TEST_F(CertificatesTest, AnotherAuthorityIsRefused) {
  ASSERT_TRUE(MakeAuthority(folder_ / "other").ok());
  const auto server = Serve(Issue("ca", Role::kData, "data"));
  EXPECT_EQ(Call(server->port(), Issue("other", Role::kSubmitter, "eve")).code(), absl::StatusCode::kUnavailable);
  // Trusting the server is not enough: the authority must have issued the client's own certificate too.
  SecurityOptions mixed = Issue("other", Role::kSubmitter, "mallory");
  ASSERT_TRUE(WriteFileAtomically(mixed.certificates / "ca.pem", *ReadFile(folder_ / "ca" / "ca.pem")).ok());
  EXPECT_EQ(Call(server->port(), mixed).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Call(server->port(), {.insecure = true}).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(service_.caller().role, Role::kUnknown) << "no call got through";
}

TEST_F(CertificatesTest, AServerOfAnotherNameIsRefused) {
  const CertificateRequest request = {.role = Role::kData, .name = "data", .hosts = {"data.example", "10.0.0.1"}};
  ASSERT_TRUE(IssueCertificate(folder_ / "ca", request, folder_ / "elsewhere").ok());
  const auto server = Serve({.certificates = folder_ / "elsewhere"});
  EXPECT_EQ(Call(server->port(), Issue("ca", Role::kSubmitter, "ada")).code(), absl::StatusCode::kUnavailable);
}

TEST_F(CertificatesTest, InsecureServersListenOnLoopbackOnly) {
  const auto outside = RpcServer::Start({.address = "0.0.0.0:0", .security = {.insecure = true}});
  EXPECT_EQ(outside.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(outside.status().message()), HasSubstr("0.0.0.0:0"));
  const auto server = Serve({.insecure = true});
  EXPECT_EQ(Call(server->port(), {.insecure = true}), absl::OkStatus());
  EXPECT_EQ(service_.caller().name, "anonymous");
}

TEST_F(CertificatesTest, KeysArePrivateAndAuthoritiesAreKept) {
  Issue("ca", Role::kSubmitter, "ada");
  for (const auto& path : {folder_ / "ca/ca-key.pem", folder_ / "ca-ada/key.pem"}) {
    struct stat info {};
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << path;
  }
  const std::string before = *ReadFile(folder_ / "ca/ca.pem");
  ASSERT_TRUE(MakeAuthority(folder_ / "ca").ok());
  EXPECT_EQ(*ReadFile(folder_ / "ca/ca.pem"), before);
  std::filesystem::remove(folder_ / "ca/ca-key.pem");
  EXPECT_EQ(MakeAuthority(folder_ / "ca").code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CertificatesTest, RequestsAreChecked) {
  const auto issue = [&](const CertificateRequest& request) {
    return IssueCertificate(folder_ / "ca", request, folder_ / "x").code();
  };
  EXPECT_EQ(issue({.role = Role::kUnknown, .name = "a"}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(issue({.role = Role::kViewer, .name = ""}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(issue({.role = Role::kViewer, .name = "a", .hosts = {"a,DNS:b"}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(IssueCertificate(folder_ / "none", {.role = Role::kViewer, .name = "a"}, folder_ / "x").code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace muster
