// One client of a soak: submits, lists, watches, cancels and reads logs, at random, with its own identity, and checks
// that the servers keep what they acknowledged.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "common/rpc/security.h"
#include "muster/v1/job.grpc.pb.h"
#include "tests/soak/ledger.h"

namespace muster {

struct SoakPlan {
  std::string address;
  double submit_share = 0.03;  // of a client's calls, while submissions continue
  absl::Duration least_pause = absl::Milliseconds(200), most_pause = absl::Milliseconds(1800);
  absl::Duration patience = absl::Seconds(60);  // how long a call without an answer is retried
};

// Not thread-safe; one thread per client.
class SoakClient {
 public:
  SoakClient(const SoakPlan& plan, std::shared_ptr<grpc::Channel> channel, std::string name, uint64_t seed,
             Ledger& ledger);

  // Until `stop`; submits until `stop_submitting`.
  void Run(const absl::Notification& stop, const absl::Notification& stop_submitting);

  // After Run, with servers that stay up: everything that was acknowledged is listed. `listed`: the ids of all jobs.
  void Verify(const std::set<std::string>& listed);

  // All jobs' ids, page by page.
  absl::StatusOr<std::set<std::string>> ListAll();
  // Cancels the jobs that are meant to be canceled, and waits until all of this client's jobs have ended.
  void Settle(absl::Duration within);

 private:
  struct Own {
    std::string request_id;
    std::string kind;  // the behavior of its ranks: see muster-fake-rank
    bool cancelled = false;
    uint64_t revision = 0;
    muster::v1::JobPhase phase = muster::v1::JOB_PHASE_UNSPECIFIED;
  };

  template <typename Request, typename Response>
  absl::Status Once(const char* rpc,
                    grpc::Status (muster::v1::JobService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response& response);
  // Retries while there is no answer, or while the server asks to retry later.
  template <typename Request, typename Response>
  absl::Status Patient(const char* rpc,
                       grpc::Status (muster::v1::JobService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                            Response*),
                       const Request& request, Response& response);
  void Submit();
  void Resubmit();
  void Get();
  void List();
  void Watch();
  void Cancel();
  void Logs();
  void CancelJob(const std::string& id, Own& own);
  // A job as a server reported it: its phase never goes back.
  void See(const muster::v1::Job& job);
  std::string AnyOwn();
  muster::v1::SubmitJobRequest RequestFor(const Own& own) const;

  const SoakPlan plan_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<muster::v1::JobService::Stub> stub_;
  const std::string name_;
  std::mt19937_64 draw_;
  Ledger& ledger_;
  std::map<std::string, Own> own_;  // by job id: acknowledged submissions
  uint64_t submissions_ = 0;
};

}  // namespace muster
