#include "client/find_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::vector<ListedJob> kJobs = {{"abc00001", "first", "training"},
                                      {"abc00002", "second", "succeeded"},
                                      {"abd00001", "second", "failed"},
                                      {"first001", "third", "queued"}};

std::string Error(const std::string& given, const std::vector<ListedJob>& jobs = kJobs) {
  const absl::StatusOr<std::string> id = ChooseJob(given, jobs);
  EXPECT_FALSE(id.ok()) << *id;
  return std::string(id.status().message());
}

TEST(ChooseJob, TakesAnIdThenANameThenTheBeginningOfAnId) {
  EXPECT_EQ(ChooseJob("abc00001", kJobs).value(), "abc00001");
  EXPECT_EQ(ChooseJob("first", kJobs).value(), "abc00001") << "not the job whose id begins so";
  EXPECT_EQ(ChooseJob("abd", kJobs).value(), "abd00001");
  EXPECT_EQ(ChooseJob("firs", kJobs).value(), "first001") << "a name counts as a whole";
}

TEST(ChooseJob, NamesTheCandidatesOfAnAmbiguousWord) {
  EXPECT_EQ(Error("abc"), "several jobs have an id that begins with \"abc\": abc00001 (first, training), abc00002 (second, "
                          "succeeded). Give more of the id.");
  EXPECT_EQ(Error("second"),
            "several jobs are named \"second\": abc00002 (second, succeeded), abd00001 (second, failed). Give an id.");
  EXPECT_TRUE(absl::IsInvalidArgument(ChooseJob("second", kJobs).status()));
}

TEST(ChooseJob, ShowsAFewOfManyCandidates) {
  std::vector<ListedJob> many;
  for (int i = 0; i < 7; ++i) many.push_back({absl::StrCat("x", i), "n", "queued"});
  EXPECT_THAT(Error("x", many), AllOf(HasSubstr("x4 (n, queued), …. Give"), Not(HasSubstr("x5"))));
}

TEST(ChooseJob, FindsNoJobThatDoesNotExist) {
  EXPECT_TRUE(absl::IsNotFound(ChooseJob("abce", kJobs).status()));
  EXPECT_TRUE(absl::IsNotFound(ChooseJob("", {}).status()));
}

}  // namespace
}  // namespace muster
