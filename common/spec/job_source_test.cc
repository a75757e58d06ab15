#include "common/spec/job_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(JobSource, IsTheExportOrACheckpointOfAJob) {
  EXPECT_TRUE(NamesJob("job:a"));
  EXPECT_FALSE(NamesJob("minilm"));
  for (const char* text : {"job:a", "job:a@1", "job:k3v9x0qa@18446744073709551615"}) {
    const absl::StatusOr<JobSource> source = ParseJobSource(text);
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_EQ(ToString(*source), text);
  }
  EXPECT_EQ(ParseJobSource("job:a@40")->job, "a");
  EXPECT_EQ(ParseJobSource("job:a@40")->step, 40u);
  EXPECT_EQ(ParseJobSource("job:a")->step, std::nullopt);
}

TEST(JobSource, AWrongStepIsRefusedWithWhereTheStepsAreListed) {
  for (const char* text : {"job:a@", "job:a@0", "job:a@-1", "job:a@1.5", "job:a@ 1", "job:a@01", "job:a@1@2",
                           "job:a@18446744073709551616", "job:a@last"}) {
    EXPECT_THAT(std::string(ParseJobSource(text).status().message()), testing::HasSubstr("muster get a lists")) << text;
  }
  EXPECT_THAT(std::string(ParseJobSource("job:").status().message()), testing::HasSubstr("needs the id"));
  EXPECT_THAT(std::string(ParseJobSource("job:@4").status().message()), testing::HasSubstr("needs the id"));
}

}  // namespace
}  // namespace muster
