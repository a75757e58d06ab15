// The data server's half of a backup: nothing is removed while a backup holds the gate.
#include "coordinator/data/service/data_server_test_base.h"

#include <algorithm>
#include <set>

#include "absl/time/clock.h"
#include "muster/internal/v1/backup.grpc.pb.h"

namespace muster {
namespace {

namespace v1 = muster::v1;

class DataBackupTest : public DataServerTest {
 protected:
  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<internal::v1::CopyRequest, internal::v1::CopyResponse>> stream;
  };
  std::unique_ptr<Call> Begin(absl::Duration within) {
    auto call = std::make_unique<Call>();
    call->context.set_deadline(absl::ToChronoTime(absl::Now() + within));
    call->stream = internal::v1::BackupService::NewStub(operator_)->Copy(&call->context);
    return call;
  }
  static internal::v1::CopyRequest Hold() {
    internal::v1::CopyRequest request;
    request.mutable_hold();
    return request;
  }
  static std::set<std::string> List(Call& call) {
    internal::v1::CopyRequest request;
    request.mutable_list();
    call.stream->Write(request);
    std::set<std::string> paths;
    internal::v1::CopyResponse response;
    while (call.stream->Read(&response) && !response.has_listed()) {
      for (const internal::v1::CopyFile& file : response.files().files()) paths.insert(file.path());
    }
    return paths;
  }
  absl::Status Delete(const std::string& digest) {
    grpc::ClientContext context;
    internal::v1::DeleteBlobsRequest request;
    request.add_digests(digest);
    internal::v1::DeleteBlobsResponse response;
    return FromGrpc(internal::v1::DataPlaneService::NewStub(coordinator_)->DeleteBlobs(&context, request, &response));
  }
};

TEST_F(DataBackupTest, NothingIsRemovedBetweenHoldAndTheEndOfTheCall) {
  const std::string digest = BlobClient(operator_).PutBytes("a checkpoint").value();
  const auto report = Import(Header("set"), BeirFiles(4));
  ASSERT_TRUE(report.ok());
  const auto call = Begin(absl::Minutes(5));
  ASSERT_TRUE(call->stream->Write(Hold()));
  internal::v1::CopyResponse held;
  ASSERT_TRUE(call->stream->Read(&held));
  EXPECT_EQ(held.held().server(), "data");

  EXPECT_TRUE(absl::IsUnavailable(Delete(digest)));
  grpc::ClientContext context;
  v1::DeleteDatasetRequest request;
  request.set_name("set");
  v1::DeleteDatasetResponse response;
  ASSERT_TRUE(v1::DataService::NewStub(operator_)->DeleteDataset(&context, request, &response).ok()) << "a name may be removed";
  const std::set<std::string> listed = List(*call);
  EXPECT_TRUE(listed.contains("catalogue.db"));
  EXPECT_TRUE(listed.contains(absl::StrCat("blobs/", digest.substr(0, 2), "/", digest)));
  EXPECT_TRUE(std::any_of(listed.begin(), listed.end(), [&](const std::string& path) {
    return path.starts_with(absl::StrCat("datasets/", report->dataset().digest()));
  })) << "its content stays";

  call->stream->WritesDone();
  ASSERT_TRUE(FromGrpc(call->stream->Finish()).ok());
  EXPECT_TRUE(Delete(digest).ok());
}

TEST_F(DataBackupTest, AClientThatDiesHoldsNoLonger) {
  const std::string digest = BlobClient(operator_).PutBytes("a checkpoint").value();
  const auto call = Begin(absl::Minutes(5));
  ASSERT_TRUE(call->stream->Write(Hold()));
  internal::v1::CopyResponse held;
  ASSERT_TRUE(call->stream->Read(&held));
  ASSERT_TRUE(absl::IsUnavailable(Delete(digest)));
  call->context.TryCancel();
  call->stream->Finish();
  absl::Status deleted;
  do {
    deleted = Delete(digest);
  } while (absl::IsUnavailable(deleted));
  EXPECT_TRUE(deleted.ok()) << deleted;
}

TEST_F(DataBackupTest, ACallWithoutDeadlineIsRefused) {
  const auto call = Begin(absl::Hours(25));
  call->stream->Write(Hold());
  internal::v1::CopyResponse response;
  EXPECT_FALSE(call->stream->Read(&response));
  EXPECT_TRUE(absl::IsInvalidArgument(FromGrpc(call->stream->Finish())));
}

}  // namespace
}  // namespace muster
