#include "common/process/delimited_reader.h"

#include <gtest/gtest.h>

#include "muster/rank/v1/rank.pb.h"

namespace muster {
namespace {

using muster::rank::v1::RankMessage;

RankMessage Message(const std::string& text) {
  RankMessage message;
  message.mutable_result()->set_message(text);
  return message;
}

TEST(DelimitedReader, ReadsMessagesThatArriveByteByByte) {
  const std::string bytes = Delimited(Message("a")) + Delimited(Message(std::string(300, 'b')));
  DelimitedReader reader;
  std::vector<std::string> seen;
  for (const char byte : bytes) {
    reader.Append({&byte, 1});
    RankMessage message;
    const auto next = reader.Next(message);
    ASSERT_TRUE(next.ok()) << next.status();
    if (*next) seen.push_back(message.result().message());
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"a", std::string(300, 'b')}));
}

TEST(DelimitedReader, ReadsSeveralMessagesOfOneRead) {
  DelimitedReader reader;
  reader.Append(Delimited(Message("a")) + Delimited(RankMessage()) + Delimited(Message("b")));
  RankMessage message;
  EXPECT_TRUE(*reader.Next(message));
  EXPECT_EQ(message.result().message(), "a");
  EXPECT_TRUE(*reader.Next(message));
  EXPECT_FALSE(message.has_result());
  EXPECT_TRUE(*reader.Next(message));
  EXPECT_EQ(message.result().message(), "b");
  EXPECT_FALSE(*reader.Next(message));
}

TEST(DelimitedReader, RefusesWhatIsNotAMessage) {
  RankMessage message;
  DelimitedReader endless;
  endless.Append("\xff\xff\xff\xff\xff\xff");
  EXPECT_EQ(endless.Next(message).status().code(), absl::StatusCode::kDataLoss);
  DelimitedReader large(10);
  large.Append(Delimited(Message("more than ten bytes")));
  EXPECT_EQ(large.Next(message).status().code(), absl::StatusCode::kDataLoss);
  DelimitedReader noise;
  noise.Append("\x03zzz");
  EXPECT_EQ(noise.Next(message).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace muster
