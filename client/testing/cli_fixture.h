// The muster program itself against a cluster that answers from memory.
#pragma once

#include <fcntl.h>
#include <pty.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/rpc/metadata.h"
#include "common/rpc/security.h"
#include "common/spec/job_spec.h"
#include "muster/v1/blob.grpc.pb.h"
#include "muster/v1/cluster.grpc.pb.h"
#include "muster/v1/data.grpc.pb.h"
#include "muster/v1/job.grpc.pb.h"
#include "muster/v1/model.grpc.pb.h"
#include "muster/v1/operation.grpc.pb.h"
#include "test_paths.h"

namespace muster {

inline constexpr char kJobFile[] = "name: x\nmodel: {from: minilm}\ndata: {train: t}\nduration: {steps: 3}\n";

class FakeJobs final : public muster::v1::JobService::Service {
 public:
  grpc::Status SubmitJob(grpc::ServerContext* context, const muster::v1::SubmitJobRequest* request,
                      muster::v1::SubmitJobResponse* response) override {
    const std::lock_guard lock(mutex);
    requests.push_back(*request);
    if (request->spec().data().train() == "unknown") {
      return {grpc::StatusCode::NOT_FOUND, "data.train: no dataset \"unknown\". There is: t."};
    }
    if (request->dry_run()) return DryRun(*request, *response);
    job.set_id("j1");
    *job.mutable_spec() = request->spec();
    *response->mutable_job() = job;
    if (request->spec().data().train() == "mined") AddNotes({"hard negatives are not used", "two"}, *context);
    return grpc::Status::OK;
  }
  grpc::Status GetJob(grpc::ServerContext*, const muster::v1::GetJobRequest* request,
                   muster::v1::GetJobResponse* response) override {
    const std::lock_guard lock(mutex);
    if (!Knows(request->id())) return Unknown(request->id());
    *response->mutable_job() = job;
    if (!listed.empty()) response->mutable_job()->set_id(request->id());
    return grpc::Status::OK;
  }
  grpc::Status ListJobs(grpc::ServerContext*, const muster::v1::ListJobsRequest* request,
                    muster::v1::ListJobsResponse* response) override {
    ++lists;
    if (!listed.empty()) {
      for (const muster::v1::JobSummary& known : listed) {
        const auto& phases = request->phases();
        if (!phases.empty() && std::find(phases.begin(), phases.end(), known.phase()) == phases.end()) continue;
        if (known.id().starts_with(request->id_prefix()) && known.name().starts_with(request->name_prefix())) {
          *response->add_summaries() = known;
        }
      }
      return grpc::Status::OK;
    }
    // Answers with two pages.
    response->add_jobs()->set_id(request->page_token().empty() ? "j2" : "j1");
    if (request->page_token().empty()) response->set_next_page_token("more");
    return grpc::Status::OK;
  }
  grpc::Status DeleteJob(grpc::ServerContext*, const muster::v1::DeleteJobRequest* request, muster::v1::DeleteJobResponse*) override {
    return Knows(request->id()) ? grpc::Status::OK : Unknown(request->id());
  }
  grpc::Status StreamJobMetrics(grpc::ServerContext*, const muster::v1::StreamJobMetricsRequest* request,
                             grpc::ServerWriter<muster::v1::StreamJobMetricsResponse>* writer) override {
    if (!Knows(request->id())) return Unknown(request->id());
    muster::v1::StreamJobMetricsResponse response;
    response.add_points()->set_step(4);
    response.mutable_points(0)->set_loss(0.25);
    writer->Write(response);
    return grpc::Status::OK;
  }
  grpc::Status WatchJob(grpc::ServerContext* context, const muster::v1::WatchJobRequest* request,
                     grpc::ServerWriter<muster::v1::WatchJobResponse>* writer) override {
    const std::lock_guard lock(mutex);
    if (!Knows(request->id())) return Unknown(request->id());
    muster::v1::WatchJobResponse response;
    *response.mutable_job() = job;
    response.mutable_job()->set_phase(muster::v1::JOB_PHASE_TRAINING);
    auto& progress = *response.mutable_job()->mutable_progress();
    progress.set_activity("training");
    progress.set_step(3);
    progress.set_total_steps(3);
    progress.set_loss(0.5);
    writer->Write(response);
    if (hang) return Hang(*context);
    for (const char* label : {"untrained", "trained"}) {
      auto& evaluation = *response.mutable_job()->add_evaluations();
      evaluation.set_label(label);
      (*evaluation.mutable_metrics())["ndcg@10"] = label[0] == 'u' ? 0.25 : 0.75;
      (*evaluation.mutable_metrics())["mrr"] = 0.5;
    }
    response.mutable_job()->set_phase(last_phase);
    writer->Write(response);
    job = response.job();
    return grpc::Status::OK;
  }
  grpc::Status StreamJobLogs(grpc::ServerContext* context, const muster::v1::StreamJobLogsRequest* request,
                    grpc::ServerWriter<muster::v1::StreamJobLogsResponse>* writer) override {
    if (hang) return Hang(*context);
    if (!Knows(request->id())) return Unknown(request->id());
    muster::v1::StreamJobLogsResponse response;
    response.set_attempt(1);
    response.set_rank(request->rank());
    response.set_text("one\ntwo\n");
    writer->Write(response);
    return grpc::Status::OK;
  }
  grpc::Status CancelJob(grpc::ServerContext*, const muster::v1::CancelJobRequest* request,
                      muster::v1::CancelJobResponse* response) override {
    if (request->request_id().empty()) return {grpc::StatusCode::INVALID_ARGUMENT, "no request id"};
    if (!Knows(request->id())) return Unknown(request->id());
    response->mutable_job()->set_id(request->id());
    response->mutable_job()->set_phase(muster::v1::JOB_PHASE_CANCELLED);
    return grpc::Status::OK;
  }

  bool Knows(const std::string& id) const {
    return listed.empty() ||
           std::any_of(listed.begin(), listed.end(), [&](const muster::v1::JobSummary& known) { return known.id() == id; });
  }
  static grpc::Status Unknown(const std::string& id) {
    return {grpc::StatusCode::NOT_FOUND, absl::StrCat("there is no job \"", id, "\". See muster jobs.")};
  }
  void AddListed(const std::string& id, const std::string& name, muster::v1::JobPhase phase) {
    listed.emplace_back().set_id(id);
    listed.back().set_name(name);
    listed.back().set_phase(phase);
  }

  grpc::Status DryRun(const muster::v1::SubmitJobRequest& request, muster::v1::SubmitJobResponse& response) const {
    if (!knows_dry_runs) return {grpc::StatusCode::INVALID_ARGUMENT, "request_id: longer than 128 bytes. Use a UUID."};
    *response.mutable_job()->mutable_spec() = request.spec();
    // A coordinator of a cluster without GPUs makes the same choice.
    response.mutable_job()->mutable_spec()->mutable_resources()->set_device(muster::v1::DEVICE_CPU);
    FillDefaults(*response.mutable_job()->mutable_spec());
    auto& preview = *response.mutable_preview();
    preview.set_train_queries(809);
    preview.set_steps_per_epoch(26);
    preview.set_total_steps(78);
    preview.set_sampled_steps(16);
    preview.set_sequences_per_step(191.7);
    preview.set_tokens_per_step(23412);
    preview.set_largest_step_tokens(31204);
    preview.set_positives_per_query(1.1);
    preview.set_negatives_per_query(158.5);
    preview.set_truncated_share(0.25);
    preview.set_bytes_per_rank(5'000'000'000);
    preview.set_seconds(750);
    preview.add_notes("time: as job a ran");
    return grpc::Status::OK;
  }

  // Serves nothing more until the client disconnects.
  grpc::Status Hang(const grpc::ServerContext& context) {
    {
      const absl::MutexLock lock(&hangs_mutex);
      ++hangs;
    }
    while (!context.IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
    return grpc::Status::CANCELLED;
  }

  std::mutex mutex;
  std::vector<muster::v1::SubmitJobRequest> requests;
  std::vector<muster::v1::JobSummary> listed;  // empty: every id is known
  std::atomic<int> lists = 0;                  // calls of List
  bool hang = false;
  bool knows_dry_runs = true;
  absl::Mutex hangs_mutex;
  int hangs ABSL_GUARDED_BY(hangs_mutex) = 0;  // calls that hang or have hung
  muster::v1::Job job;
  muster::v1::JobPhase last_phase = muster::v1::JOB_PHASE_SUCCEEDED;
};

class FakeCluster final : public muster::v1::ClusterService::Service {
 public:
  grpc::Status ListQueues(grpc::ServerContext*, const muster::v1::ListQueuesRequest*,
                          muster::v1::ListQueuesResponse* response) override {
    response->add_queues()->set_name("research");
    return grpc::Status::OK;
  }
  grpc::Status GetCluster(grpc::ServerContext*, const muster::v1::GetClusterRequest*,
                          muster::v1::GetClusterResponse* response) override {
    response->add_data_addresses(data_address);
    return grpc::Status::OK;
  }
  grpc::Status ListWorkers(grpc::ServerContext*, const muster::v1::ListWorkersRequest*,
                           muster::v1::ListWorkersResponse* response) override {
    if (!workers.has_value()) return {grpc::StatusCode::UNIMPLEMENTED, ""};
    *response = *workers;
    return grpc::Status::OK;
  }
  std::string data_address;
  std::optional<muster::v1::ListWorkersResponse> workers;
};

class FakeData final : public muster::v1::DataService::Service {
 public:
  grpc::Status ImportDataset(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<muster::v1::ImportDatasetResponse, muster::v1::ImportDatasetRequest>* stream) override {
    muster::v1::ImportDatasetRequest request;
    std::string* bytes = nullptr;
    while (stream->Read(&request)) {
      if (hang != nullptr) return hang->Hang(*context);
      if (request.has_header()) {
        header = request.header();
        muster::v1::ImportDatasetResponse reading;
        reading.mutable_progress()->set_activity("reading");
        if (!import_error.ok()) return import_error;
        stream->Write(reading);
      }
      if (request.has_file()) {
        order.push_back(request.file().path());
        if (!request.file().split().empty()) splits[request.file().path()] = request.file().split();
        if (!request.file().blob().empty()) blobs[request.file().path()] = request.file().blob();
        bytes = &files[request.file().path()];
      }
      if (request.part_case() == muster::v1::ImportDatasetRequest::kChunk) bytes->append(request.chunk());
      if (request.chunk() == "bad") {
        return {grpc::StatusCode::INVALID_ARGUMENT,
                "corpus.jsonl:1: is not JSON. Fix the line, or import with --skip-bad 1."};
      }
    }
    muster::v1::ImportDatasetResponse response;
    response.mutable_report()->mutable_dataset()->set_name(header.name());
    response.mutable_report()->add_notes("a note");
    stream->Write(response);
    return grpc::Status::OK;
  }
  grpc::Status GetDataset(grpc::ServerContext*, const muster::v1::GetDatasetRequest*,
                   muster::v1::GetDatasetResponse* response) override {
    *response = stored;
    return grpc::Status::OK;
  }
  grpc::Status ShowDataset(grpc::ServerContext*, const muster::v1::ShowDatasetRequest* request,
                    muster::v1::ShowDatasetResponse* response) override {
    show = *request;
    *response = shown;
    return grpc::Status::OK;
  }
  grpc::Status ExportDataset(grpc::ServerContext* context, const muster::v1::ExportDatasetRequest* request,
                      grpc::ServerWriter<muster::v1::ExportDatasetResponse>* writer) override {
    exported = *request;
    muster::v1::ExportDatasetResponse response;
    for (const auto& [path, bytes] : export_files) {
      response.set_file(path);
      writer->Write(response);
      response.set_chunk(bytes);
      writer->Write(response);
    }
    if (hang != nullptr) return hang->Hang(*context);
    AddNotes({"left out: 1 hard negatives"}, *context);
    return export_error;
  }
  FakeJobs* hang = nullptr;
  grpc::Status import_error;  // of every import, set when its header has arrived
  muster::v1::ImportHeader header;
  std::vector<std::string> order;
  std::map<std::string, std::string> files, splits, blobs;  // by path; blobs: digests
  muster::v1::GetDatasetResponse stored;
  muster::v1::ShowDatasetRequest show;
  muster::v1::ShowDatasetResponse shown;
  muster::v1::ExportDatasetRequest exported;
  std::vector<std::pair<std::string, std::string>> export_files;
  grpc::Status export_error;
};

class FakeModels final : public muster::v1::ModelService::Service {
 public:
  grpc::Status PushModel(grpc::ServerContext*, const muster::v1::PushModelRequest* request,
                    muster::v1::PushModelResponse* response) override {
    pushed = *request;
    if (!error.ok()) return error;
    *response->mutable_model() = model;
    response->mutable_model()->set_name(request->name());
    response->mutable_model()->set_vocabulary_size(2);
    return grpc::Status::OK;
  }
  grpc::Status PullModel(grpc::ServerContext*, const muster::v1::PullModelRequest* request,
                    muster::v1::PullModelResponse* response) override {
    *response->mutable_model() = model;
    response->mutable_model()->set_name(request->name());
    return grpc::Status::OK;
  }
  muster::v1::Model model;  // what the server answers for every model
  muster::v1::PushModelRequest pushed;
  grpc::Status error;
};

class FakeBlobs final : public muster::v1::BlobService::Service {
 public:
  grpc::Status StatBlobs(grpc::ServerContext*, const muster::v1::StatBlobsRequest* request,
                    muster::v1::StatBlobsResponse* response) override {
    for (const std::string& digest : request->digests()) {
      response->add_blobs()->set_digest(digest);
      response->mutable_blobs()->rbegin()->set_present(blobs.count(digest) > 0);
      if (partial.count(digest) > 0) response->mutable_blobs()->rbegin()->set_partial_size(partial[digest].size());
    }
    return grpc::Status::OK;
  }
  grpc::Status PutBlob(grpc::ServerContext*, grpc::ServerReader<muster::v1::PutBlobRequest>* reader,
                   muster::v1::PutBlobResponse*) override {
    muster::v1::PutBlobRequest request;
    std::string digest, bytes;
    while (reader->Read(&request)) {
      if (request.has_header()) {
        digest = request.header().digest();
        bytes = partial[digest].substr(0, request.header().offset());
      }
      bytes += request.chunk();
      received += request.chunk().size();
      if (bytes.size() < break_after) continue;
      break_after = std::numeric_limits<size_t>::max();  // once
      partial[digest] = bytes;
      return {grpc::StatusCode::RESOURCE_EXHAUSTED, "the disk is full"};
    }
    partial.erase(digest);
    blobs[digest] = bytes;
    return grpc::Status::OK;
  }
  grpc::Status GetBlob(grpc::ServerContext* context, const muster::v1::GetBlobRequest* request,
                   grpc::ServerWriter<muster::v1::GetBlobResponse>* writer) override {
    if (hang != nullptr && request->digest() == hang_at) return hang->Hang(*context);
    if (blobs.count(request->digest()) == 0) return {grpc::StatusCode::NOT_FOUND, "no such blob"};
    muster::v1::GetBlobResponse response;
    response.set_chunk(blobs[request->digest()]);
    writer->Write(response);
    return grpc::Status::OK;
  }
  std::string Add(const std::string& bytes) {
    blobs[Sha256Hex(bytes)] = bytes;
    return Sha256Hex(bytes);
  }
  std::map<std::string, std::string> blobs;
  std::map<std::string, std::string> partial;  // bytes of broken uploads
  size_t break_after = std::numeric_limits<size_t>::max();  // an upload breaks when it has this many bytes
  uint64_t received = 0;                                    // bytes of all uploads
  FakeJobs* hang = nullptr;
  std::string hang_at;
};

class FakeOperations final : public muster::v1::OperationService::Service {
 public:
  grpc::Status ListOperations(grpc::ServerContext*, const muster::v1::ListOperationsRequest* request,
                              muster::v1::ListOperationsResponse* response) override {
    for (const muster::v1::Operation& operation : operations) {
      if (request->active_only() && operation.phase() != muster::v1::OPERATION_PHASE_RUNNING) continue;
      *response->add_operations() = operation;
    }
    return grpc::Status::OK;
  }
  grpc::Status GetOperation(grpc::ServerContext*, const muster::v1::GetOperationRequest* request,
                            muster::v1::GetOperationResponse* response) override {
    for (const muster::v1::Operation& operation : operations) {
      if (operation.id() == request->id()) *response->mutable_operation() = operation;
    }
    if (response->has_operation()) return grpc::Status::OK;
    return {grpc::StatusCode::NOT_FOUND, "there is no operation \"" + request->id() + "\". See muster operations."};
  }
  grpc::Status CancelOperation(grpc::ServerContext*, const muster::v1::CancelOperationRequest* request,
                               muster::v1::CancelOperationResponse* response) override {
    canceled.push_back(*request);
    response->mutable_operation()->set_id(request->id());
    response->mutable_operation()->set_phase(muster::v1::OPERATION_PHASE_CANCELED);
    response->mutable_operation()->set_reason("canceled by ada");
    return grpc::Status::OK;
  }
  std::vector<muster::v1::Operation> operations;
  std::vector<muster::v1::CancelOperationRequest> canceled;
};

struct Result {
  int code;
  std::string out, err;
};

class CliTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = *MakeScratchFolder(std::filesystem::temp_directory_path(), "muster-cli");
    auto server = RpcServer::Start({.address = "127.0.0.1:0",
                                    .security = {.insecure = true},
                                    .services = {&jobs_, &cluster_, &data_, &models_, &blobs_, &operations_}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    address_ = absl::StrCat("127.0.0.1:", server_->port());
    cluster_.data_address = absl::StrCat("0.0.0.0:", server_->port());
    Write(".config/muster/config.yaml", absl::StrCat("address: ", address_, "\ninsecure: true\n"));
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::string Write(const std::string& name, const std::string& bytes) {
    EXPECT_TRUE(MakeFolders((folder_ / name).parent_path()).ok());
    EXPECT_TRUE(WriteFileAtomically(folder_ / name, bytes).ok());
    return (folder_ / name).string();
  }
  Result Muster(const std::string& arguments) {
    const std::string command =
        absl::StrCat("cd ", folder_.string(), " && env -u MUSTER_CERTS -u MUSTER_ADDRESS -u XDG_CONFIG_HOME HOME=",
                     folder_.string(), " ", MUSTER_BINARY_DIR, "/muster ", arguments, " >out 2>err </dev/null");
    const int status = std::system(command.c_str());
    return {WEXITSTATUS(status), *ReadFile(folder_ / "out"), *ReadFile(folder_ / "err")};
  }

  // The program's output on a terminal of this many columns.
  std::string MusterOnTerminal(int columns, const std::string& arguments) {
    winsize size{};
    size.ws_col = static_cast<unsigned short>(columns);
    size.ws_row = 24;
    const std::string command = absl::StrCat("exec env -i HOME=", folder_.string(), " ", MUSTER_BINARY_DIR, "/muster ", arguments);
    int terminal = -1;
    const pid_t pid = forkpty(&terminal, nullptr, nullptr, &size);
    if (pid == 0) {
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    EXPECT_GT(pid, 0);
    std::string text;
    char buffer[4096];
    for (ssize_t count; (count = read(terminal, buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<size_t>(count));
    close(terminal);
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0) << text;
    return text;
  }

  // Starts the program and presses Ctrl-C once the server hangs in its call. Starts it without a shell, because a shell
  // ignores SIGINT in what it runs in the background.
  Result Interrupted(std::vector<std::string> words) {
    int before = 0;
    {
      const absl::MutexLock lock(&jobs_.hangs_mutex);
      before = jobs_.hangs;
    }
    words.insert(words.begin(), absl::StrCat(MUSTER_BINARY_DIR, "/muster"));
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::string home = absl::StrCat("HOME=", folder_.string());
    std::vector<char*> environment = {home.data(), nullptr};
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, (folder_ / "out").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_addopen(&files, 2, (folder_ / "err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    pid_t pid = 0;
    EXPECT_EQ(posix_spawn(&pid, words[0].c_str(), &files, nullptr, arguments.data(), environment.data()), 0);
    posix_spawn_file_actions_destroy(&files);
    {
      const absl::MutexLock lock(&jobs_.hangs_mutex);
      const auto one_more = [this, before] { return jobs_.hangs > before; };
      EXPECT_TRUE(jobs_.hangs_mutex.AwaitWithTimeout(absl::Condition(&one_more), absl::Seconds(60)));
    }
    kill(pid, SIGINT);
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFEXITED(status));
    return {WEXITSTATUS(status), *ReadFile(folder_ / "out"), *ReadFile(folder_ / "err")};
  }

  std::filesystem::path folder_;
  FakeJobs jobs_;
  FakeCluster cluster_;
  FakeData data_;
  FakeModels models_;
  FakeBlobs blobs_;
  FakeOperations operations_;
  std::unique_ptr<RpcServer> server_;
  std::string address_;
};

}  // namespace muster
