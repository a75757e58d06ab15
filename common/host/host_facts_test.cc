#include "common/host/host_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(VisibleDevices, ReadsCudaVisibleDevicesAsCudaDoes) {
  const std::vector<std::string> names = {"a", "b", "c"}, uuids = {"GPU-11", "GPU-22", "GPU-33"};
  EXPECT_THAT(VisibleDevices(names, uuids, nullptr), ElementsAre("a", "b", "c"));
  EXPECT_THAT(VisibleDevices(names, uuids, "2, 0"), ElementsAre("c", "a"));
  EXPECT_THAT(VisibleDevices(names, uuids, "GPU-2"), ElementsAre("b"));
  EXPECT_THAT(VisibleDevices(names, uuids, "0,7,1"), ElementsAre("a"));
  EXPECT_THAT(VisibleDevices(names, uuids, "-1"), IsEmpty());
  EXPECT_THAT(VisibleDevices(names, uuids, ""), IsEmpty());
}

TEST(InterfaceTowards, IsLoopbackForALoopbackCoordinator) {
  EXPECT_EQ(InterfaceTowards("127.0.0.1:7070"), "127.0.0.1");
  EXPECT_EQ(InterfaceTowards("[::1]:7070"), "::1");
  EXPECT_EQ(InterfaceTowards("no port"), "");
}

}  // namespace
}  // namespace muster
