#include "common/rpc/errors.h"

#include <gtest/gtest.h>

#include "common/status.h"

namespace muster {
namespace {

TEST(Errors, SurviveTheWire) {
  const absl::Status status = WithReason(absl::NotFoundError("no dataset \"x\""), "DATASET_NOT_FOUND");
  const grpc::Status wire = ToGrpc(status);
  EXPECT_EQ(wire.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(wire.error_message(), status.message());
  const absl::Status back = FromGrpc(wire);
  EXPECT_EQ(back.code(), status.code());
  EXPECT_EQ(back.message(), status.message());
  EXPECT_EQ(ReasonOf(back), "DATASET_NOT_FOUND");
}

TEST(Errors, CarryHowLongToWait) {
  const absl::Status status =
      WithRetryAfter(WithReason(absl::UnavailableError("shuts down"), "SHUTTING_DOWN"), absl::Milliseconds(2500));
  const absl::Status back = FromGrpc(ToGrpc(status));
  EXPECT_EQ(RetryAfterOf(back), absl::Milliseconds(2500));
  EXPECT_EQ(ReasonOf(back), "SHUTTING_DOWN");
  EXPECT_EQ(RetryAfterOf(FromGrpc(ToGrpc(absl::UnavailableError("x")))), std::nullopt);
}

TEST(Errors, LongMessagesAreCutBetweenCharacters) {
  std::string message = "x";
  while (message.size() < 100000) message += "\xC3\xA4";
  const grpc::Status wire = ToGrpc(WithReason(absl::NotFoundError(message), "DATASET_NOT_FOUND"));
  EXPECT_LT(wire.error_message().size(), 1100);
  EXPECT_EQ(wire.error_message(), message.substr(0, 1023) + "…");
  EXPECT_EQ(ReasonOf(FromGrpc(wire)), "DATASET_NOT_FOUND");
}

TEST(Errors, WithoutReasonHaveNoDetails) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
  EXPECT_EQ(ToGrpc(absl::AbortedError("x")).error_details(), "");
  EXPECT_EQ(ReasonOf(FromGrpc(grpc::Status(grpc::StatusCode::INTERNAL, "x", "no protobuf \xff"))), "");
}

TEST(Errors, OnlyMissingAnswersAreRetried) {
  EXPECT_TRUE(IsRetryable(absl::UnavailableError("")));
  EXPECT_TRUE(IsRetryable(absl::DeadlineExceededError("")));
  EXPECT_FALSE(IsRetryable(absl::InternalError("")));
  EXPECT_FALSE(IsRetryable(absl::OkStatus()));
}

}  // namespace
}  // namespace muster
