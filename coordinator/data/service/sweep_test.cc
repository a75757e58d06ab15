// Sweeps and the budget through the server.
#include <sys/stat.h>

#include <chrono>
#include <map>

#include "common/garbage_category.h"
#include "common/rpc/metadata.h"
#include "coordinator/data/service/data_server_test_base.h"
#include "muster/internal/v1/backup.grpc.pb.h"

namespace muster {
namespace {

namespace v1 = muster::v1;
using testing::AllOf;
using testing::HasSubstr;

class ServerSweep : public DataServerTest {
 protected:
  // The sweep sees everything that is stored as unused for two days.
  void Age() {
    const auto then = std::filesystem::file_time_type::clock::now() - std::chrono::hours(48);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root_ / "state")) {
      std::filesystem::last_write_time(entry.path(), then);
    }
  }
  static internal::v1::SweepRequest Request(uint64_t epoch = 1) {
    internal::v1::SweepRequest request;
    request.set_epoch(epoch);
    request.set_unused_seconds(24 * 3600);
    return request;
  }
  // Sends `parts`, the last of them marked as such where `complete`.
  absl::StatusOr<internal::v1::SweepResponse> SweepInParts(std::vector<internal::v1::SweepRequest> parts, bool complete) {
    grpc::ClientContext call;
    internal::v1::SweepResponse response;
    const auto stream = internal::v1::DataPlaneService::NewStub(coordinator_)->Sweep(&call, &response);
    parts.back().set_last(complete);
    for (const internal::v1::SweepRequest& part : parts) stream->Write(part);
    stream->WritesDone();
    RETURN_IF_ERROR(FromGrpc(stream->Finish()));
    notes_ = NotesOf(call);
    return response;
  }
  absl::StatusOr<std::map<std::string, uint64_t>> Sweep(const internal::v1::SweepRequest& request) {  // kind → count
    ASSIGN_OR_RETURN(const internal::v1::SweepResponse response, SweepInParts({request}, /*complete=*/true));
    std::map<std::string, uint64_t> counts;
    for (const v1::GarbageKind& kind : response.kinds()) counts[std::string(CategoryName(kind.category()))] = kind.count();
    return counts;
  }
  void RemoveDataset(const std::string& name) {
    grpc::ClientContext call;
    v1::DeleteDatasetRequest request;
    request.set_name(name);
    v1::DeleteDatasetResponse response;
    ASSERT_TRUE(v1::DataService::NewStub(operator_)->DeleteDataset(&call, request, &response).ok());
  }
  static Files OtherVocabulary() { return {{"vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nother\n"}}; }
  std::filesystem::path BlobPath(const std::string& digest) const {
    return root_ / "state/blobs" / digest.substr(0, 2) / digest;
  }
  // Where its bytes lie once they are known to be damaged.
  std::filesystem::path AsidePath(const std::string& digest) const {
    return root_ / "state/blobs/partial" / (digest + ".damaged");
  }
  // Changes the path that a manifest with one file gives it.
  void DamageManifest(const std::string& digest) {
    std::string bytes = ReadFile(BlobPath(digest)).value();
    const size_t at = bytes.find("vocab.txt");
    ASSERT_NE(at, std::string::npos);
    bytes[at] = 'V';
    ASSERT_TRUE(WriteFileAtomically(BlobPath(digest), bytes).ok());
  }
  bool Has(const std::string& digest) { return std::filesystem::exists(BlobPath(digest)); }

  std::vector<std::string> notes_;  // of the last sweep that succeeded
};

TEST_F(ServerSweep, RemovesWhatNoNameAndNoJobNeeds) {
  const std::string set = Import(Header("set"), BeirFiles(3))->dataset().digest();
  const std::string replaced = Import(Header("other"), BeirFiles(4))->dataset().digest();
  ASSERT_TRUE(Import(Replacing("other"), BeirFiles(5)).ok());
  ASSERT_TRUE(Push("vocab", Vocabulary()).ok());
  BlobClient blobs(operator_);
  const std::string loose = blobs.PutBytes("of a push that never got its name").value();
  const std::string needed = blobs.PutBytes("of a job").value();
  Age();
  internal::v1::SweepRequest request = Request();
  request.add_blobs(needed);
  EXPECT_EQ(Sweep(request).value(), (std::map<std::string, uint64_t>{{"blobs", 1}, {"datasets", 1}}));
  EXPECT_EQ(ReasonOf(blobs.GetBytes(loose).status()), "BLOB_NOT_FOUND");
  EXPECT_EQ(blobs.GetBytes(needed).value(), "of a job");
  EXPECT_FALSE(std::filesystem::exists(root_ / "state/datasets" / replaced));
  EXPECT_TRUE(std::filesystem::exists(root_ / "state/datasets" / set));
  EXPECT_EQ(Sweep(request).value(), (std::map<std::string, uint64_t>()));
}

TEST_F(ServerSweep, LeavesWhatAJobTrainsOnWithoutItsName) {
  const std::string digest = Import(Header("set"), BeirFiles(3))->dataset().digest();
  RemoveDataset("set");
  Age();
  internal::v1::SweepRequest request = Request();
  request.add_datasets(digest);
  EXPECT_TRUE(Sweep(request)->empty());
  EXPECT_EQ(Sweep(Request())->at("datasets"), 1u) << "the job has ended";
}

TEST_F(ServerSweep, TakesWhatJobsNeedInSeveralMessages) {
  BlobClient blobs(operator_);
  const std::string loose = blobs.PutBytes("loose").value();
  std::vector<internal::v1::SweepRequest> parts = {Request()};
  std::vector<std::string> needed;
  for (int i = 0; i < 3; ++i) {
    needed.push_back(blobs.PutBytes("needed " + std::to_string(i)).value());
    parts.emplace_back().add_blobs(needed.back());
  }
  Age();
  EXPECT_TRUE(absl::IsCancelled(SweepInParts(parts, /*complete=*/false).status()));
  EXPECT_TRUE(blobs.GetBytes(loose).ok()) << "nothing goes before all is named";
  ASSERT_TRUE(SweepInParts(parts, /*complete=*/true).ok());
  EXPECT_FALSE(blobs.GetBytes(loose).ok());
  for (const std::string& digest : needed) EXPECT_TRUE(blobs.GetBytes(digest).ok());
}

TEST_F(ServerSweep, LeavesWhatIsNew) {
  BlobClient(operator_).PutBytes("loose").value();
  EXPECT_TRUE(Sweep(Request())->empty());
}

TEST_F(ServerSweep, ADryRunRemovesNothing) {
  const std::string digest = BlobClient(operator_).PutBytes("loose").value();
  Age();
  internal::v1::SweepRequest request = Request();
  request.set_dry_run(true);
  EXPECT_EQ(Sweep(request)->at("blobs"), 1u);
  EXPECT_TRUE(BlobClient(operator_).GetBytes(digest).ok());
}

TEST_F(ServerSweep, ADamagedManifestOfAModelHoldsUpNothingElse) {
  const std::string damaged = Push("damaged", Vocabulary())->manifest();
  const std::string other = Push("other", OtherVocabulary())->manifest();
  const std::string loose = BlobClient(operator_).PutBytes("loose").value();
  DamageManifest(damaged);
  Age();
  EXPECT_EQ(Sweep(Request()).value(), (std::map<std::string, uint64_t>{{"blobs", 1}}));
  ASSERT_EQ(notes_.size(), 1u);
  EXPECT_THAT(notes_[0], AllOf(HasSubstr("model damaged"), HasSubstr(damaged), HasSubstr("Push the model again")));
  EXPECT_FALSE(Has(loose));
  EXPECT_TRUE(BlobClient(operator_).GetManifest(other).ok());
  EXPECT_TRUE(Has(Sha256Hex(OtherVocabulary()[0].second)));
  EXPECT_TRUE(Has(Sha256Hex(Vocabulary()[0].second))) << "the damaged bytes still name it";
  EXPECT_TRUE(std::filesystem::exists(AsidePath(damaged)));
  EXPECT_TRUE(Sweep(Request())->empty());
  EXPECT_EQ(notes_.size(), 1u) << "until somebody mends it";
  v1::PushModelRequest again;
  again.set_name("damaged");
  again.set_replace(true);
  ASSERT_TRUE(PushAs(operator_, again, Vocabulary()).ok());
  EXPECT_TRUE(BlobClient(operator_).GetManifest(damaged).ok()) << "the same push mends the model";
  EXPECT_TRUE(Sweep(Request())->empty());
  EXPECT_TRUE(notes_.empty());
}

TEST_F(ServerSweep, TheFilesOfADamagedManifestGoWithItsLastBytes) {
  const std::string damaged = Push("damaged", Vocabulary())->manifest();
  DamageManifest(damaged);
  EXPECT_TRUE(Sweep(Request())->empty());
  Age();
  const auto then = std::filesystem::file_time_type::clock::now() - std::chrono::hours(24 * 8);
  std::filesystem::last_write_time(AsidePath(damaged), then);
  EXPECT_EQ(Sweep(Request()).value(), (std::map<std::string, uint64_t>{{"uploads", 1}}));
  EXPECT_EQ(Sweep(Request()).value(), (std::map<std::string, uint64_t>{{"blobs", 1}})) << "nothing says what it named";
  EXPECT_EQ(notes_.size(), 1u);
  EXPECT_FALSE(Has(Sha256Hex(Vocabulary()[0].second)));
}

TEST_F(ServerSweep, AMissingManifestOfAModelHoldsUpNothingElse) {
  const std::string missing = Push("missing", Vocabulary())->manifest();
  const std::string other = Push("other", OtherVocabulary())->manifest();
  std::filesystem::remove(BlobPath(missing));
  Age();
  EXPECT_EQ(Sweep(Request()).value(), (std::map<std::string, uint64_t>{{"blobs", 1}}));
  ASSERT_EQ(notes_.size(), 1u);
  EXPECT_THAT(notes_[0], AllOf(HasSubstr("model missing"), HasSubstr("is not stored")));
  EXPECT_FALSE(Has(Sha256Hex(Vocabulary()[0].second))) << "nobody can find it now";
  EXPECT_TRUE(Has(Sha256Hex(OtherVocabulary()[0].second)));
  EXPECT_TRUE(Has(other));
}

TEST_F(ServerSweep, AManifestOfAJobThatCannotBeParsedHoldsUpNothingElse) {
  BlobClient blobs(operator_);
  const std::string unparsable = blobs.PutBytes("these bytes cannot be parsed").value();
  const std::string file = blobs.PutBytes("weights").value(), loose = blobs.PutBytes("loose").value();
  v1::FileManifest files;
  files.add_files()->set_path("weights");
  files.mutable_files(0)->set_digest(file);
  const std::string whole = blobs.PutManifest(files).value();
  Age();
  internal::v1::SweepRequest request = Request();
  request.add_manifests(unparsable);
  request.add_manifests(whole);
  request.add_manifests(Sha256Hex("a checkpoint that was dropped meanwhile"));
  EXPECT_EQ(Sweep(request).value(), (std::map<std::string, uint64_t>{{"blobs", 1}}));
  ASSERT_EQ(notes_.size(), 1u);
  EXPECT_THAT(notes_[0], AllOf(HasSubstr("jobs refer to"), HasSubstr(unparsable), HasSubstr("is not a manifest")));
  EXPECT_FALSE(Has(loose));
  for (const std::string& kept : {unparsable, whole, file}) EXPECT_TRUE(Has(kept));
}

// A symbolic link to itself cannot be looked up, whoever asks: like an error of the disk.
TEST_F(ServerSweep, AManifestThatCannotBeReadNowKeepsAllBlobsAndNothingElse) {
  Import(Header("set"), BeirFiles(3)).value();
  RemoveDataset("set");
  const std::string manifest = Push("vocab", Vocabulary())->manifest();
  const std::string loose = BlobClient(operator_).PutBytes("loose").value();
  const std::string bytes = ReadFile(BlobPath(manifest)).value();
  Age();
  std::filesystem::remove(BlobPath(manifest));
  std::filesystem::create_symlink(BlobPath(manifest).filename(), BlobPath(manifest));
  const absl::Status status = Sweep(Request()).status();
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("no blobs were removed"), HasSubstr("model vocab"), HasSubstr(manifest),
                    HasSubstr("removed 1 thing")));
  EXPECT_TRUE(Has(loose));
  EXPECT_TRUE(Has(Sha256Hex(Vocabulary()[0].second)));
  EXPECT_TRUE(std::filesystem::is_empty(root_ / "state/datasets")) << "datasets do not depend on manifests";
  std::filesystem::remove(BlobPath(manifest));
  ASSERT_TRUE(WriteFileAtomically(BlobPath(manifest), bytes).ok());
  EXPECT_EQ(Sweep(Request()).value(), (std::map<std::string, uint64_t>{{"blobs", 1}}));
  EXPECT_FALSE(Has(loose));
}

TEST_F(ServerSweep, ADamagedManifestOfAModelHoldsUpNoDroppedCheckpoint) {
  DamageManifest(Push("damaged", Vocabulary())->manifest());
  internal::v1::DeleteBlobsRequest request;
  request.add_digests(BlobClient(operator_).PutBytes("of a dropped checkpoint").value());
  request.add_digests(Sha256Hex(Vocabulary()[0].second));
  Age();
  request.set_let_go_milliseconds(1000);
  StartServer();  // forgets who asked for the blobs lately
  grpc::ClientContext call;
  internal::v1::DeleteBlobsResponse response;
  ASSERT_TRUE(internal::v1::DataPlaneService::NewStub(coordinator_)->DeleteBlobs(&call, request, &response).ok());
  EXPECT_EQ(response.deleted(), 1u);
  EXPECT_FALSE(Has(request.digests(0)));
  EXPECT_TRUE(Has(request.digests(1)));
}

// A coordinator whose state was lost has no jobs.
TEST_F(ServerSweep, ACoordinatorOfAnOlderEpochRemovesNothing) {
  ASSERT_TRUE(Sweep(Request(7)).ok());
  const std::string digest = BlobClient(operator_).PutBytes("a checkpoint").value();
  Age();
  StartServer();  // the epoch is remembered
  EXPECT_EQ(ReasonOf(Sweep(Request(1)).status()), "OLD_COORDINATOR");
  EXPECT_TRUE(BlobClient(operator_).GetBytes(digest).ok());
  EXPECT_EQ(Sweep(Request(8))->at("blobs"), 1u);
}

TEST_F(ServerSweep, NothingIsRemovedDuringABackup) {
  BlobClient(operator_).PutBytes("loose").value();
  Age();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
  const auto stream = internal::v1::BackupService::NewStub(operator_)->Copy(&context);
  internal::v1::CopyRequest hold;
  hold.mutable_hold();
  internal::v1::CopyResponse held;
  ASSERT_TRUE(stream->Write(hold) && stream->Read(&held));
  EXPECT_EQ(ReasonOf(Sweep(Request()).status()), "BACKUP_RUNS");
  stream->WritesDone();
  ASSERT_TRUE(stream->Finish().ok());
  EXPECT_EQ(Sweep(Request())->at("blobs"), 1u);
}

TEST_F(ServerSweep, AShorterTimeThanAnHourIsRefused) {
  internal::v1::SweepRequest request = Request();
  request.set_unused_seconds(60);
  EXPECT_TRUE(absl::IsInvalidArgument(Sweep(request).status()));
}

TEST_F(ServerSweep, ABudgetRefusesWhatUsersBringAndSaysWhatIsLargest) {
  ASSERT_TRUE(Import(Header("set"), BeirFiles(200)).ok());
  StartServer(/*store_budget=*/100000);
  EXPECT_TRUE(Push("vocab", Vocabulary()).ok()) << "there is room";
  const auto refused = BlobClient(operator_, absl::ZeroDuration()).PutBytes(std::string(90000, 'x'));
  EXPECT_EQ(ReasonOf(refused.status()), "STORE_BUDGET");
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("Largest: dataset set"));
  v1::ImportHeader header = Header("more");
  header.set_total_bytes(90000);
  EXPECT_EQ(ReasonOf(Import(header, BeirFiles(2)).status()), "STORE_BUDGET");
  muster::internal::v1::RankIdentity identity;
  identity.set_job_id("j");
  identity.set_attempt(1);
  identity.set_world_size(1);
  EXPECT_TRUE(BlobClient(WorkerWith(TicketOf(identity, {}))).PutBytes(std::string(90000, 'y')).ok()) << "running jobs continue";
}

}  // namespace
}  // namespace muster
