#include "coordinator/service/sessions.h"

#include <gtest/gtest.h>

#include <vector>

namespace muster {
namespace {

using muster::internal::v1::CoordinatorMessage;
using Found = Sessions::Outbox::Found;

TEST(Outbox, WhoLooksAtEveryChangeMissesNoMessage) {
  Sessions sessions;
  const auto [session, outbox] = sessions.Open();
  outbox->PushAck(1);
  CoordinatorMessage message;
  std::vector<uint64_t> acknowledged;
  bool closed = false;
  outbox->OnChange([&, outbox = outbox.get()] {
    Found found = Found::kNothing;
    while ((found = outbox->TryNext(message)) == Found::kMessage) acknowledged.push_back(message.ack().sequence());
    closed = found == Found::kClosed;
  });
  EXPECT_EQ(acknowledged, std::vector<uint64_t>({1})) << "what waited before";
  outbox->PushAck(2);
  outbox->PushAck(3);
  EXPECT_EQ(acknowledged, std::vector<uint64_t>({1, 2, 3}));
  sessions.Close(session);
  EXPECT_TRUE(closed);
}

TEST(Outbox, AnAcknowledgmentReplacesTheOneThatWaits) {
  Sessions sessions;
  const auto outbox = sessions.Open().second;
  outbox->PushAck(1);
  outbox->PushAck(2);
  CoordinatorMessage message;
  ASSERT_EQ(outbox->TryNext(message), Found::kMessage);
  EXPECT_EQ(message.ack().sequence(), 2);
  EXPECT_EQ(outbox->TryNext(message), Found::kNothing);
}

TEST(Outbox, OfASessionThatOpensWhileTheCoordinatorStopsIsClosed) {
  Sessions sessions;
  sessions.CloseAll();
  const auto outbox = sessions.Open().second;
  bool changed = false;
  outbox->OnChange([&] { changed = true; });
  EXPECT_TRUE(changed);
  CoordinatorMessage message;
  EXPECT_EQ(outbox->TryNext(message), Found::kClosed);
}

}  // namespace
}  // namespace muster
