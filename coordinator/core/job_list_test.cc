#include "coordinator/core/job_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace muster {
namespace {

using muster::v1::JobPhase;
using muster::v1::ListJobsRequest;
using muster::v1::ListJobsResponse;
using testing::ElementsAre;

absl::Time At(int second) { return absl::FromUnixSeconds(1'000'000 + second); }

class JobListTest : public testing::Test {
 protected:
  void Add(int number, const std::function<void(JobRecord&)>& change = [](JobRecord&) {}) {
    JobRecord record;
    journal::v1::StoredJob& job = *record.mutable_job();
    job.set_id(absl::StrCat("j", number));
    job.mutable_spec()->set_name("n");
    job.mutable_spec()->mutable_resources()->set_queue("default");
    job.set_owner("ada");
    job.set_phase(JobPhase::JOB_PHASE_PAUSED);
    *job.mutable_submitted() = ToProto(At(number));
    record.set_sequence(number);
    change(record);
    ASSERT_TRUE(Apply(RecordOf(std::move(record)), state_).ok());
  }
  // The ids of all pages, joined per page; "|" between pages.
  std::string List(ListJobsRequest request) {
    std::vector<std::string> pages;
    do {
      const absl::StatusOr<ListJobsResponse> page = ViewJobs(state_, soft_, request);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) break;
      std::vector<std::string> ids;
      for (const auto& job : page->jobs()) ids.push_back(job.id());
      for (const auto& job : page->summaries()) ids.push_back(job.id());
      pages.push_back(absl::StrJoin(ids, " "));
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return absl::StrJoin(pages, "|");
  }

  State state_;
  Soft soft_;
};

TEST_F(JobListTest, PagesGoInBothDirections) {
  for (int i = 1; i <= 5; ++i) Add(i);
  ListJobsRequest request;
  EXPECT_EQ(List(request), "j5 j4 j3 j2 j1");
  request.set_page_size(2);
  EXPECT_EQ(List(request), "j5 j4|j3 j2|j1");
  request.set_order(muster::v1::JOB_ORDER_OLDEST_FIRST);
  EXPECT_EQ(List(request), "j1 j2|j3 j4|j5");
}

TEST_F(JobListTest, EveryFilterNarrowsTheList) {
  Add(1, [](JobRecord& record) { record.mutable_job()->set_owner("bo"); });
  Add(2, [](JobRecord& record) { record.mutable_job()->mutable_spec()->mutable_resources()->set_queue("night"); });
  Add(3, [](JobRecord& record) { record.mutable_job()->mutable_spec()->set_name("bert-base"); });
  Add(4, [](JobRecord& record) { record.mutable_job()->set_phase(JobPhase::JOB_PHASE_FAILED); });
  Add(5, [](JobRecord& record) { record.mutable_job()->set_phase(JobPhase::JOB_PHASE_QUEUED); });
  Add(60);
  const auto with = [this](const std::function<void(ListJobsRequest&)>& change) {
    ListJobsRequest request;
    change(request);
    const std::string newest = List(request);
    request.set_page_size(1);
    const std::vector<std::string> pages = absl::StrSplit(List(request), '|', absl::SkipEmpty());
    EXPECT_EQ(newest, absl::StrJoin(pages, " ")) << "pages change nothing";
    return newest;
  };
  EXPECT_EQ(with([](auto& r) { r.set_owner("bo"); }), "j1");
  EXPECT_EQ(with([](auto& r) { r.set_owner("nobody"); }), "");
  EXPECT_EQ(with([](auto& r) { r.set_queue("night"); }), "j2");
  EXPECT_EQ(with([](auto& r) { r.set_name_prefix("bert"); }), "j3");
  EXPECT_EQ(with([](auto& r) { r.set_name_contains("base"); }), "j3");
  EXPECT_EQ(with([](auto& r) { r.set_active_only(true); }), "j60 j5 j3 j2 j1");
  EXPECT_EQ(with([](auto& r) {
              r.add_phases(JobPhase::JOB_PHASE_FAILED);
              r.add_phases(JobPhase::JOB_PHASE_QUEUED);
              r.add_phases(JobPhase::JOB_PHASE_QUEUED);
            }),
            "j5 j4");
  EXPECT_EQ(with([](auto& r) { r.set_id_prefix("j6"); }), "j60");
  EXPECT_EQ(with([](auto& r) { r.set_owner("ada"), r.add_phases(JobPhase::JOB_PHASE_FAILED); }), "j4");
}

TEST_F(JobListTest, AWindowOfTimeIsHalfOpen) {
  for (int i = 1; i <= 5; ++i) Add(i);
  ListJobsRequest request;
  *request.mutable_submitted_since() = ToProto(At(2));
  *request.mutable_submitted_before() = ToProto(At(4));
  EXPECT_EQ(List(request), "j3 j2");
  request.set_order(muster::v1::JOB_ORDER_OLDEST_FIRST);
  EXPECT_EQ(List(request), "j2 j3");
  request.set_page_size(1);
  EXPECT_EQ(List(request), "j2|j3");
}

TEST_F(JobListTest, ATokenBelongsToItsFilter) {
  Add(1);
  Add(2);
  ListJobsRequest request;
  request.set_page_size(1);
  request.set_page_token(ViewJobs(state_, soft_, request)->next_page_token());
  request.set_owner("ada");
  EXPECT_TRUE(absl::IsInvalidArgument(ViewJobs(state_, soft_, request).status()));
  request.set_page_token("17");
  EXPECT_TRUE(absl::IsInvalidArgument(ViewJobs(state_, soft_, request).status()));
}

TEST_F(JobListTest, ACallVisitsABoundedNumberOfJobsAndAnswersABoundedNumberOfBytes) {
  const int jobs = 2 * static_cast<int>(kMostVisitedByList) + 10;
  for (int i = 1; i <= jobs; ++i) {
    Add(i, [i](JobRecord& record) { if (i == 3) record.mutable_job()->mutable_spec()->set_name("needle"); });
  }
  ListJobsRequest request;
  request.set_name_contains("needle");  // no index covers this filter
  EXPECT_EQ(List(request), "||j3") << "empty pages with a token";
  request.Clear();
  Add(jobs + 1, [](JobRecord& record) { record.mutable_job()->set_reason(std::string(3 << 20, 'x')); });
  request.set_page_size(1000);
  const auto page = ViewJobs(state_, soft_, request);
  EXPECT_EQ(page->jobs_size(), 1) << "one job may be larger than a page";
  EXPECT_FALSE(page->next_page_token().empty());
}

TEST_F(JobListTest, ASummaryHasWhatATableShows) {
  Add(1, [](JobRecord& record) {
    journal::v1::StoredJob& job = *record.mutable_job();
    job.mutable_spec()->mutable_evaluate()->set_metric("mrr");
    job.set_reason("paused by ada");
    job.set_reason_code(muster::v1::REASON_CODE_PAUSED);
    job.mutable_resolved()->set_total_steps(40);
    job.mutable_progress()->set_step(20);
    job.mutable_progress()->set_loss(0.5);
    for (const auto& [label, step, value] : {std::tuple("step-10", 10, 0.7), std::tuple("step-20", 20, 0.6)}) {
      muster::v1::Evaluation& evaluation = *job.add_evaluations();
      evaluation.set_label(label);
      evaluation.set_step(step);
      (*evaluation.mutable_metrics())["mrr"] = value;
    }
  });
  ListJobsRequest request;
  request.set_view(muster::v1::JOB_VIEW_SUMMARY);
  const auto page = ViewJobs(state_, soft_, request);
  EXPECT_EQ(page->jobs_size(), 0);
  ASSERT_EQ(page->summaries_size(), 1);
  const muster::v1::JobSummary& job = page->summaries(0);
  EXPECT_EQ(job.reason_code(), muster::v1::REASON_CODE_PAUSED);
  EXPECT_EQ(job.total_steps(), 40);
  EXPECT_EQ(job.loss(), 0.5);
  EXPECT_EQ(job.best_evaluation().label(), "step-10");
  EXPECT_EQ(job.last_evaluation().value(), 0.6);
}

}  // namespace
}  // namespace muster
