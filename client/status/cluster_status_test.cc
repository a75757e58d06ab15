#include "client/status/cluster_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace muster {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr int64_t kNow = 1800000000;

muster::v1::JobSummary Job(const std::string& id, muster::v1::JobPhase phase, const std::string& reason) {
  muster::v1::JobSummary job;
  job.set_id(id);
  job.set_name("name-of-" + id);
  job.set_phase(phase);
  job.set_reason(reason);
  job.set_queue("default");
  job.set_owner("ada");
  job.set_step(50);
  job.set_total_steps(120);
  job.mutable_submitted()->set_seconds(kNow - 200);
  return job;
}

ClusterStatus Well() {
  ClusterStatus status;
  status.address = "muster:7070";
  status.own_version = "1.2.0";
  status.now = absl::FromUnixSeconds(kNow);
  status.cluster.set_version("1.2.0");
  status.cluster.add_data_addresses("data:7071");
  auto& worker = *status.workers.add_workers();
  worker.set_name("gpu-7");
  worker.set_state(muster::v1::WORKER_STATE_READY);
  worker.set_device(muster::v1::DEVICE_GPU);
  worker.set_version("1.2.0");
  worker.mutable_last_heard()->set_seconds(kNow);
  worker.add_slots()->set_job_id("a");
  worker.add_slots();
  worker.add_slots();
  auto& queue = *status.queues.add_queues();
  queue.set_name("default");
  queue.set_jobs_running(1);
  queue.set_jobs_waiting(2);
  status.active.jobs = {Job("aaaaaaaa", muster::v1::JOB_PHASE_TRAINING, "")};
  status.active.jobs[0].set_eta_seconds(185);
  status.ended.jobs = {Job("bbbbbbbb", muster::v1::JOB_PHASE_FAILED, "rank 1 was killed")};
  status.ended.jobs[0].mutable_ended()->set_seconds(kNow - 7200);
  return status;
}

TEST(ClusterStatus, ShowsServersWorkersQueuesAndJobs) {
  EXPECT_EQ(StatusText(Well(), 0, false),
            "coordinator   muster:7070, version 1.2.0\n"
            "data servers  data:7071\n"
            "workers       1 ready; 1 of 3 gpu slots used, 2 free\n"
            "queues        default: 1 running, 2 waiting\n"
            "\n"
            "ACTIVE    NAME              PHASE     STEP              QUEUE    OWNER  SUBMITTED  REASON\n"
            "aaaaaaaa  name-of-aaaaaaaa  training  50/120, ETA 3:05  default  ada    3 min ago\n"
            "\n"
            "ENDED     NAME              PHASE   STEP    QUEUE    OWNER  WHEN     REASON\n"
            "bbbbbbbb  name-of-bbbbbbbb  failed  50/120  default  ada    2 h ago  rank 1 was killed\n");
}

TEST(ClusterStatus, HintsSayWhatIsWrongAndWhatToDo) {
  ClusterStatus status = Well();
  EXPECT_TRUE(HintsOf(status).empty());
  status.cluster.clear_data_addresses();
  status.workers.clear_workers();
  status.active.jobs[0].set_reason("needs 8 slots, the workers have 3");
  status.active.jobs[0].set_reason_code(muster::v1::REASON_CODE_TOO_LARGE);
  const std::string text = StatusText(status, 0, false);
  EXPECT_THAT(text, HasSubstr("data servers  none\n"));
  EXPECT_THAT(text, HasSubstr("problem  data server: there is none: jobs wait, and imports are refused\n         -> start muster-data"));
  EXPECT_THAT(text, HasSubstr("problem  workers: there are none: jobs wait\n         -> start muster-worker"));
  EXPECT_THAT(text, HasSubstr("problem  job aaaaaaaa: needs 8 slots, the workers have 3\n"));
}

TEST(ClusterStatus, AnEmptyClusterSaysSo) {
  ClusterStatus status = Well();
  status.active.jobs.clear();
  status.ended.jobs.clear();
  const std::string text = StatusText(status, 0, false);
  EXPECT_THAT(text, HasSubstr("\nno active jobs\n"));
  EXPECT_THAT(text, Not(HasSubstr("ENDED")));
}

TEST(ClusterStatus, FitsTheTerminalAndSaysWhereTheRestIs) {
  ClusterStatus status = Well();
  status.active.jobs[0].set_reason(std::string(300, 'r'));
  status.active.more = true;
  const std::string text = StatusText(status, 110, false);
  EXPECT_THAT(text, HasSubstr("r…\n… and more: muster jobs --active\n"));
  EXPECT_THAT(text, HasSubstr("aaaaaaaa  "));
}

TEST(ClusterStatus, JsonHasExactValues) {
  const auto json = StatusJson(Well());
  EXPECT_EQ(json["address"], "muster:7070");
  EXPECT_EQ(json["version"], "1.2.0");
  EXPECT_EQ(json["data_addresses"][0], "data:7071");
  EXPECT_EQ(json["workers"][0]["state"], "WORKER_STATE_READY");
  EXPECT_EQ(json["queues"][0]["jobs_waiting"], 2);
  EXPECT_EQ(json["active"][0]["submitted"], "2027-01-15T07:56:40Z");
  EXPECT_EQ(json["ended"][0]["reason"], "rank 1 was killed");
  EXPECT_EQ(json["more_active"], false);
  EXPECT_TRUE(json["hints"].empty());
}

}  // namespace
}  // namespace muster
