#include "worker/rank/link/testing/fake_cluster.h"

#include <algorithm>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/digest.h"
#include "common/rpc/errors.h"
#include "common/sample_ledger.h"
#include "common/spec/stages.h"
#include "common/status.h"
#include "worker/rank/train/testing/problem.h"

namespace muster {
namespace {

constexpr size_t kChunk = 1 << 20;

grpc::Status Stale() { return {grpc::StatusCode::FAILED_PRECONDITION, "the attempt is stale"}; }
grpc::Status Broken() { return {grpc::StatusCode::UNAVAILABLE, "the connection broke"}; }

}  // namespace

grpc::Status FakeRendezvous::Rendezvous(grpc::ServerContext*, const muster::internal::v1::RendezvousRequest* request,
                                        muster::internal::v1::RendezvousResponse* response) {
  if (request->attempt() != attempt) return Stale();
  absl::MutexLock lock(&mutex_);
  std::map<std::string, std::string>& values = attempts_[request->attempt()];
  if (request->has_set()) values[request->set().key()] = request->set().value();
  if (request->has_get()) {
    const auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      for (const std::string& key : request->get().keys()) {
        if (!values.contains(key)) return false;
      }
      return true;
    };
    response->set_found(mutex_.AwaitWithTimeout(absl::Condition(&there),
                                                absl::Milliseconds(request->get().timeout_milliseconds())));
    for (const std::string& key : request->get().keys()) {
      if (response->found() && !request->get().keys_only()) response->add_values(values[key]);
    }
  }
  if (request->has_add()) {
    std::string& value = values[request->add().key()];
    response->set_number((value.empty() ? 0 : std::stoll(value)) + request->add().amount());
    value = std::to_string(response->number());
  }
  if (request->has_compare_set()) {
    std::string& value = values[request->compare_set().key()];
    if (value == request->compare_set().expected()) value = request->compare_set().desired();
    response->add_values(value);
  }
  if (request->has_delete_()) response->set_found(values.erase(request->delete_().key()) > 0);
  if (request->has_count()) response->set_number(values.size());
  return grpc::Status::OK;
}

void FakeRendezvous::Clear() {
  absl::MutexLock lock(&mutex_);
  attempts_.clear();
}

namespace {

// The queries of an epoch's steps, as ShareOf numbers them.
void FillEpoch(uint64_t first, uint64_t steps, muster::internal::v1::StepShare& share) {
  QuerySum sum;
  for (uint64_t step = first; step < first + steps; ++step) {
    const int64_t queries = MakeProblem(step, false).queries;
    for (int64_t q = 0; q < queries; ++q) sum.Add(1000 + static_cast<uint64_t>(q));
  }
  share.set_epoch_queries(sum.queries);
  share.set_epoch_query_sum(sum.sum);
}

}  // namespace

grpc::Status FakeData::Stream(grpc::ServerContext* context, const muster::internal::v1::StreamRequest* request,
                              grpc::ServerWriter<muster::internal::v1::StepShare>* writer) {
  if (request->identity().attempt() != attempt) return Stale();
  {
    absl::MutexLock lock(&mutex_);
    asked_.push_back(request->from_step());
  }
  int sent = 0;
  for (uint64_t step = request->from_step(); step < request->resolved().total_steps(); ++step) {
    if (break_after > 0 && sent++ == break_after) return Broken();
    while (may_send && !may_send(request->from_step(), step)) {
      if (context->IsCancelled()) return grpc::Status::CANCELLED;
      absl::SleepFor(absl::Milliseconds(1));
    }
    const std::vector<Stage> stages = StagesOf(request->resolved());
    const Stage& stage = stages[StageAt(stages, step)];
    const uint64_t own = step - stage.begin;
    Problem problem = MakeProblem(own, false);
    problem.step = step;
    if (no_negative && step == 1) {
      for (size_t q = 0; q < problem.positives.size(); ++q) {
        problem.ignored[q].clear();
        for (uint32_t column = 0; column < problem.passages; ++column) {
          const auto& positives = problem.positives[q];
          if (std::ranges::count(positives, column) == 0) problem.ignored[q].push_back(column);
        }
      }
    }
    muster::internal::v1::StepShare share =
        ShareOf(problem, request->identity().rank(), request->identity().world_size(), 40);
    if (const uint64_t steps = stage.steps_per_epoch; steps > 0) {
      share.set_epoch(own / steps);
      share.set_epoch_end(own % steps + 1 == steps);
      if (share.epoch_end()) FillEpoch(share.epoch() * steps, steps, share);
    }
    if (other_query && step == 1 && share.query_digests_size() > 0) share.set_query_digests(0, 999);
    if (other_plan && request->identity().rank() == 1) share.set_plan_digest(78);
    if (!writer->Write(share)) break;
  }
  return grpc::Status::OK;
}

// The problem's queries, and its passages as documents; a query's positives are relevant.
grpc::Status FakeData::StreamEvaluation(grpc::ServerContext*,
                                        const muster::internal::v1::StreamEvaluationRequest* request,
                                        grpc::ServerWriter<muster::internal::v1::StreamEvaluationResponse>* writer) {
  if (request->identity().attempt() != attempt) return Stale();
  const Problem problem = MakeProblem(1000, false);
  muster::internal::v1::StreamEvaluationResponse message;
  auto& header = *message.mutable_header();
  header.set_query_count(problem.queries);
  header.set_document_count(problem.passages);
  const auto slots = SlotsOfRank(problem, request->identity().rank(), request->identity().world_size());
  header.set_own_sequences(slots.size());
  for (const uint32_t slot : slots) header.set_own_queries(header.own_queries() + (slot < problem.queries));
  if (request->mining()) {
    auto& edges = *header.mutable_mining();
    edges.add_positive_offsets(0);
    for (std::vector<uint32_t> positives : problem.positives) {
      std::ranges::sort(positives);
      edges.mutable_positives()->Add(positives.begin(), positives.end());
      edges.add_positive_offsets(edges.positives_size());
    }
    *edges.mutable_excluded() = edges.positives();
    *edges.mutable_excluded_offsets() = edges.positive_offsets();
  } else if (request->identity().rank() == 0) {
    header.add_judged_offsets(0);
    for (const auto& positives : problem.positives) {
      for (const uint32_t column : positives) {
        header.add_judged_documents(column);
        header.add_judged_grades(1);
      }
      header.add_judged_offsets(header.judged_documents_size());
    }
  }
  writer->Write(message);
  int sent = 1;
  for (const uint32_t slot : slots) {
    if (break_after > 0 && sent++ > break_after + 20) return Broken();
    auto& micro = *message.mutable_micro_batch();
    micro.Clear();
    micro.add_lengths(problem.tokens[slot].size());
    micro.add_slots(slot);
    micro.set_tokens(problem.tokens[slot].data(), 4 * problem.tokens[slot].size());
    writer->Write(message);
  }
  return grpc::Status::OK;
}

grpc::Status FakeData::PublishMined(grpc::ServerContext*, const muster::internal::v1::PublishMinedRequest* request,
                                    grpc::ServerWriter<muster::internal::v1::PublishMinedResponse>* writer) {
  if (before_publish) {
    if (const absl::Status status = before_publish(); !status.ok()) return ToGrpc(status);
  }
  {
    absl::MutexLock lock(&mutex_);
    published_.push_back(request->blob());
  }
  muster::internal::v1::PublishMinedResponse response;
  response.set_done(0.5);
  writer->Write(response);
  response.mutable_dataset()->set_name(request->spec().mine().out());
  response.mutable_dataset()->set_digest(std::string(64, 'd'));
  writer->Write(response);
  return grpc::Status::OK;
}

std::vector<std::string> FakeData::published() const {
  absl::MutexLock lock(&mutex_);
  return published_;
}

std::vector<uint64_t> FakeData::asked() const {
  absl::MutexLock lock(&mutex_);
  return asked_;
}

grpc::Status FakeBlobs::PutBlob(grpc::ServerContext*, grpc::ServerReader<muster::v1::PutBlobRequest>* reader,
                                muster::v1::PutBlobResponse* response) {
  if (const absl::Status status = before_put ? before_put() : absl::OkStatus(); !status.ok()) return ToGrpc(status);
  muster::v1::PutBlobRequest request;
  std::string digest, bytes;
  while (reader->Read(&request)) {
    if (request.has_header()) digest = request.header().digest();
    if (request.has_chunk()) bytes += request.chunk();
  }
  if (Sha256Hex(bytes) != digest) return {grpc::StatusCode::DATA_LOSS, "another digest"};
  absl::MutexLock lock(&mutex_);
  blobs_[digest] = bytes;
  response->set_digest(digest);
  return grpc::Status::OK;
}

grpc::Status FakeBlobs::GetBlob(grpc::ServerContext*, const muster::v1::GetBlobRequest* request,
                                grpc::ServerWriter<muster::v1::GetBlobResponse>* writer) {
  if (const absl::Status status = before_get ? before_get(request->digest()) : absl::OkStatus(); !status.ok()) {
    return ToGrpc(status);
  }
  std::string bytes;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = blobs_.find(request->digest());
    if (found == blobs_.end()) return ToGrpc(WithReason(absl::NotFoundError("no such blob"), "BLOB_NOT_FOUND"));
    bytes = found->second;
  }
  muster::v1::GetBlobResponse response;
  response.set_size(bytes.size());
  for (size_t offset = request->offset(); offset < bytes.size() || response.size() > 0; offset += kChunk) {
    if (offset < bytes.size()) response.set_chunk(bytes.substr(offset, kChunk));
    writer->Write(response);
    response.Clear();
  }
  return grpc::Status::OK;
}

grpc::Status FakeBlobs::StatBlobs(grpc::ServerContext*, const muster::v1::StatBlobsRequest* request,
                                  muster::v1::StatBlobsResponse* response) {
  absl::MutexLock lock(&mutex_);
  for (const std::string& digest : request->digests()) {
    auto& stat = *response->add_blobs();
    stat.set_digest(digest);
    stat.set_present(blobs_.contains(digest));
    if (stat.present()) stat.set_size(blobs_[digest].size());
  }
  return grpc::Status::OK;
}

void FakeBlobs::Forget(const std::string& digest) {
  absl::MutexLock lock(&mutex_);
  blobs_.erase(digest);
}

void FakeBlobs::Damage(const std::string& digest) {
  absl::MutexLock lock(&mutex_);
  blobs_.at(digest).back() ^= 1;
}

FakeCluster::FakeCluster() { Restart(); }

void FakeCluster::Stop() { server.reset(); }

void FakeCluster::Restart() {
  auto started = RpcServer::Start({.address = absl::StrCat("127.0.0.1:", port),
                                   .security = {.insecure = true},
                                   .services = {&rendezvous, &data, &blobs}});
  if (!started.ok()) throw std::runtime_error(std::string(started.status().message()));
  server = *std::move(started);
  port = server->port();
}

std::string FakeCluster::address() const { return absl::StrCat("127.0.0.1:", port); }

std::shared_ptr<grpc::Channel> FakeCluster::Channel() const { return *MakeChannel(address(), {.insecure = true}); }

}  // namespace muster
