#include "common/rpc/errors.h"

#include <gtest/gtest.h>

#include "common/status.h"
#include "google/rpc/status.pb.h"

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
  EXPECT_TRUE(IsRetryable(FromUncancelledCall({grpc::StatusCode::CANCELLED, ""}))) << "the server shut down under it";
  EXPECT_TRUE(IsRetryable(absl::DeadlineExceededError("")));
  EXPECT_FALSE(IsRetryable(absl::InternalError("")));
  EXPECT_FALSE(IsRetryable(absl::OkStatus()));
}

TEST(Errors, AWaitAndARequestIdTravelAsStandardDetails) {
  absl::Status sent = WithReason(absl::ResourceExhaustedError("slower"), "RATE_LIMITED");
  sent = WithRequestId(WithRetryAfter(std::move(sent), absl::Milliseconds(1250)), "r-1");
  const grpc::Status wire = ToGrpc(sent);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(wire.error_details()));
  ASSERT_EQ(details.details_size(), 3);
  google::rpc::RetryInfo retry;
  EXPECT_EQ(details.details(1).type_url(), "type.googleapis.com/google.rpc.RetryInfo");
  ASSERT_TRUE(retry.ParseFromString(details.details(1).value()));
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_EQ(retry.retry_delay().nanos(), 250'000'000);
  const absl::Status received = FromGrpc(wire);
  EXPECT_EQ(ReasonOf(received), "RATE_LIMITED");
  EXPECT_EQ(RateLimitOf(received), absl::Milliseconds(1250));
  EXPECT_EQ(RequestIdOf(received), "r-1");
  EXPECT_EQ(RateLimitOf(WithRetryAfter(absl::UnavailableError("x"), absl::Seconds(1))), absl::ZeroDuration());
}

}  // namespace
}  // namespace muster
