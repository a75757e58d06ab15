#include "common/status.h"

#include <gtest/gtest.h>

#include "common/exit_code.h"

namespace muster {
namespace {

TEST(WithContext, KeepsCodeAndReason) {
  const absl::Status status =
      WithContext(WithReason(absl::NotFoundError("no dataset \"x\""), "DATASET_NOT_FOUND"), "submit");
  EXPECT_EQ(status.message(), "submit: no dataset \"x\"");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), "DATASET_NOT_FOUND");
  EXPECT_TRUE(WithContext(absl::OkStatus(), "submit").ok());
  EXPECT_EQ(ReasonOf(absl::OkStatus()), "");
}

TEST(WithContext, NamesTheContextOnce) {
  const absl::Status status = WithContext(absl::NotFoundError("no model"), "models push");
  EXPECT_EQ(WithContext(status, "models push").message(), "models push: no model");
  EXPECT_EQ(WithContext(status, "models").message(), "models: models push: no model");
}

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("odd");
  return value / 2;
}
absl::StatusOr<int> Quarter(int value) {
  ASSIGN_OR_RETURN(const int half, Half(value));
  return Half(half);
}

TEST(AssignOrReturn, PassesErrorsOn) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_EQ(Quarter(7).status().message(), "odd");
}

TEST(ExitCodeFor, IsStable) {
  EXPECT_EQ(ExitCodeFor(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeFor(absl::InternalError("")), 1);
  EXPECT_EQ(ExitCodeFor(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeFor(absl::CancelledError("")), 3);
  EXPECT_EQ(ExitCodeFor(absl::DeadlineExceededError("")), 4);
  EXPECT_EQ(ExitCodeFor(absl::UnavailableError("")), 5);
  EXPECT_EQ(ExitCodeFor(absl::ResourceExhaustedError("")), 6);
}

}  // namespace
}  // namespace muster
