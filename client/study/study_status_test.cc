#include "client/study/study_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "client/study/testing/study_results.h"

namespace muster {
namespace {

using muster::v1::JobSummary;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

StudyFile TwoArms() {
  return *ParseStudyFile("pilot.yaml", StudyText("grid: {loss.objective: [jointlh, lsepair]}\nseeds: 2\n"));
}

JobSummary JobOf(const StudyCell& cell, const std::string& id, muster::v1::JobPhase phase, int64_t submitted,
                 uint64_t step = 0) {
  JobSummary job;
  job.set_id(id);
  job.set_name(cell.job_name);
  job.set_phase(phase);
  job.mutable_submitted()->set_seconds(submitted);
  job.set_step(step);
  job.set_total_steps(100);
  return job;
}

TEST(StudyStatus, FindsTheJobThatCountsWhateverTheOrderOfTheList) {
  const StudyFile study = TwoArms();
  std::vector<JobSummary> jobs = {JobOf(study.cells[0], "a", muster::v1::JOB_PHASE_FAILED, 1),
                                  JobOf(study.cells[0], "b", muster::v1::JOB_PHASE_SUCCEEDED, 3),
                                  JobOf(study.cells[0], "c", muster::v1::JOB_PHASE_SUCCEEDED, 2),
                                  JobOf(study.cells[1], "d", muster::v1::JOB_PHASE_CANCELLED, 1),
                                  JobOf(study.cells[1], "e", muster::v1::JOB_PHASE_TRAINING, 2, 50)};
  JobSummary stranger = jobs[0];
  stranger.set_name("pilot.other.0000000000");
  jobs.push_back(stranger);
  for (int order = 0; order < 2; ++order) {
    const auto cells = MatchJobs(study, jobs);
    EXPECT_EQ(cells[0].job->id(), "c");
    EXPECT_EQ(cells[0].ended, 1u);
    EXPECT_EQ(cells[1].job->id(), "e");
    EXPECT_FALSE(cells[2].job.has_value());
    std::reverse(jobs.begin(), jobs.end());
  }
}

TEST(StudyStatus, SubmitsWhatIsMissingSeedBySeedWithinTheQuota) {
  const StudyFile study = TwoArms();
  EXPECT_THAT(CellsToSubmit(study, MatchJobs(study, {}), 0, {}), ElementsAre(0, 2, 1, 3));
  EXPECT_THAT(CellsToSubmit(study, MatchJobs(study, {}), 3, {}), ElementsAre(0, 2, 1));
  const std::vector<JobSummary> jobs = {JobOf(study.cells[0], "a", muster::v1::JOB_PHASE_FAILED, 1),
                                        JobOf(study.cells[2], "b", muster::v1::JOB_PHASE_QUEUED, 2)};
  const auto cells = MatchJobs(study, jobs);
  EXPECT_THAT(CellsToSubmit(study, cells, 2, {}), ElementsAre(1));
  EXPECT_THAT(CellsToSubmit(study, cells, 1, {}), IsEmpty());
  EXPECT_THAT(FailedCells(cells), ElementsAre(0));
  EXPECT_THAT(CellsToSubmit(study, cells, 0, FailedCells(cells)), ElementsAre(0, 1, 3));
}

TEST(StudyStatus, ShowsCountsAndWhenItEnds) {
  const StudyFile study = TwoArms();
  const std::vector<JobSummary> jobs = {JobOf(study.cells[0], "a", muster::v1::JOB_PHASE_SUCCEEDED, 1000, 100),
                                        JobOf(study.cells[1], "b", muster::v1::JOB_PHASE_TRAINING, 1000),
                                        JobOf(study.cells[2], "c", muster::v1::JOB_PHASE_FAILED, 1000)};
  const auto cells = MatchJobs(study, jobs);
  // 200 of 400 steps in 250 seconds.
  EXPECT_EQ(TimeLeft(cells, absl::FromUnixSeconds(1250)), absl::Seconds(250));
  EXPECT_EQ(TimeLeft(MatchJobs(study, {}), absl::FromUnixSeconds(1250)), std::nullopt);
  EXPECT_EQ(StudySummary(cells, absl::FromUnixSeconds(1250)),
            "1 of 4 jobs done, 1 running, 0 waiting, 1 to submit, 1 failed, about 4:10 left");
  EXPECT_THAT(StudyTable(study, cells, 0), HasSubstr("objective=jointlh  0          0        1        1     0       50 %"));
  const auto json = StudyJson(study, cells);
  EXPECT_EQ(json["done"], 1);
  EXPECT_EQ(json["jobs"][1]["phase"], "JOB_PHASE_TRAINING");
  EXPECT_TRUE(json["jobs"][3]["id"].is_null());
}

}  // namespace
}  // namespace muster
