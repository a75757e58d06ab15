#include "tests/fuzz/rpc_server.h"

#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/rpc/blobs.h"
#include "common/rpc/errors.h"
#include "muster/v1/data.grpc.pb.h"
#include "muster/v1/model.grpc.pb.h"
#include "tests/fuzz/check.h"

// OpenSSL keeps the state of its random numbers per thread, and gRPC's threads live as long as the process.
extern "C" const char* __lsan_default_suppressions() { return "leak:libcrypto"; }

namespace muster {
namespace {

constexpr int kInputsPerStart = 2000;
// Inputs come as fast as possible, so limits would refuse what is being tested. Limits have their own tests.
constexpr UserLimits kNoLimits = {.calls_per_second = 0};
constexpr char kVocabulary[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\none\ntwo\nthree\n";

SecurityOptions Insecure() {
  SecurityOptions security;
  security.insecure = true;
  return security;
}

template <typename T>
T Ok(absl::StatusOr<T> value) {
  FUZZ_CHECK(value.ok(), value.status().ToString());
  return *std::move(value);
}

// Returns the dataset's digest.
std::string ImportSample(const std::shared_ptr<grpc::Channel>& channel) {
  const auto stub = muster::v1::DataService::NewStub(channel);
  grpc::ClientContext context;
  const auto stream = stub->ImportDataset(&context);
  muster::v1::ImportDatasetRequest request;
  request.mutable_header()->set_name("d");
  stream->Write(request);
  const std::pair<const char*, const char*> files[] = {
      {"corpus.jsonl", "{\"_id\":\"d0\",\"text\":\"one two\"}\n{\"_id\":\"d1\",\"text\":\"three\"}\n"},
      {"queries.jsonl", "{\"_id\":\"q0\",\"text\":\"one\"}\n{\"_id\":\"q1\",\"text\":\"three\"}\n"},
      {"qrels/train.tsv", "q0\td0\t1\nq1\td1\t2\n"},
      {"qrels/dev.tsv", "q0\td0\t1\n"}};
  for (const auto& [path, content] : files) {
    request.mutable_file()->set_path(path);
    stream->Write(request);
    request.set_chunk(content);
    stream->Write(request);
  }
  stream->WritesDone();
  muster::v1::ImportDatasetResponse response;
  std::string digest;
  while (stream->Read(&response)) {
    if (response.has_report()) digest = response.report().dataset().digest();
  }
  const grpc::Status status = stream->Finish();
  FUZZ_CHECK(status.ok(), status.error_message());
  return digest;
}

}  // namespace

// The loggers are created here, so that they outlive a static FuzzServers, whose destructor still logs.
FuzzServers::FuzzServers(bool coordinator) : with_coordinator_(coordinator) { spdlog::set_level(spdlog::level::off); }

FuzzServers::~FuzzServers() {
  if (coordinator_server_ != nullptr) coordinator_server_->Shutdown(absl::ZeroDuration());
}

void FuzzServers::Prepare() {
  if (inputs_++ % kInputsPerStart == 0) Start();
}

void FuzzServers::Start() {
  if (coordinator_server_ != nullptr) coordinator_server_->Shutdown(absl::ZeroDuration());
  coordinator_server_.reset();
  data_server_.reset();
  const auto folder = root_.Fresh("state");
  DataServer::Options data;
  data.listen = "127.0.0.1:0";
  data.metrics = "";
  data.state = folder / "data";
  data.security = Insecure();
  data.limits = kNoLimits;
  data_server_ = Ok(DataServer::Start(data));
  const std::string address = absl::StrCat("127.0.0.1:", data_server_->port());
  data_channel_ = Ok(MakeChannel(address, Insecure()));
  known_ = {"d", "v", "train", "dev", "q0", "d0", "tiny", "corpus.jsonl", "qrels/train.tsv", "vocab.txt", "config.json",
            "cpu", "w0", "w1", "default", "ndcg@10", "a.jsonl", "../x", "job:x"};
  Seed();
  if (!with_coordinator_) return;
  Coordinator::Options coordinator;
  coordinator.listen = "127.0.0.1:0";
  coordinator.metrics = "127.0.0.1:0";
  coordinator.state = folder / "coordinator";
  coordinator.security = Insecure();
  coordinator.limits = kNoLimits;
  coordinator.data_address = address;
  coordinator_server_ = Ok(Coordinator::Start(coordinator));
  coordinator_channel_ = Ok(MakeChannel(absl::StrCat("127.0.0.1:", coordinator_server_->port()), Insecure()));
}

void FuzzServers::Seed() {
  known_.push_back(ImportSample(data_channel_));
  BlobClient blobs(data_channel_);
  muster::v1::PushModelRequest request;
  request.set_name("v");
  auto& file = *request.mutable_files()->add_files();
  file.set_path("vocab.txt");
  file.set_digest(Ok(blobs.PutBytes(kVocabulary)));
  file.set_size(sizeof(kVocabulary) - 1);
  known_.push_back(file.digest());
  grpc::ClientContext context;
  muster::v1::PushModelResponse response;
  const grpc::Status status = muster::v1::ModelService::NewStub(data_channel_)->PushModel(&context, request, &response);
  FUZZ_CHECK(status.ok(), status.error_message());
  known_.push_back(response.model().manifest());
}

}  // namespace muster
