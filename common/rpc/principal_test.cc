#include "common/rpc/principal.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(Role, NamesReadBackAndOldUsersAreSubmitters) {
  for (const Role role :
       {Role::kViewer, Role::kSubmitter, Role::kOperator, Role::kWorker, Role::kCoordinator, Role::kData}) {
    EXPECT_EQ(RoleFromName(RoleName(role)), role);
  }
  EXPECT_EQ(RoleFromName("user"), Role::kSubmitter);
  EXPECT_EQ(RoleFromName("unknown"), Role::kUnknown);
  EXPECT_EQ(RoleFromName(""), Role::kUnknown);
}

TEST(ActsFor, AWorkerIsItselfAndAWildcardIsThoseThatBeginSo) {
  const auto acts = [](const char* name, const char* worker) {
    return ActsFor({Role::kWorker, name, Proof::kCertificate}, worker);
  };
  EXPECT_TRUE(acts("gpu-1", "gpu-1"));
  EXPECT_FALSE(acts("gpu-1", "gpu-10"));
  EXPECT_TRUE(acts("gpu-*", "gpu-1"));
  EXPECT_TRUE(acts("gpu-*", "gpu-a-7"));
  EXPECT_FALSE(acts("gpu-*", "gpu-"));
  EXPECT_FALSE(acts("gpu-*", "gpu"));
  EXPECT_FALSE(acts("gpu-*", "cpu-1"));
  EXPECT_FALSE(acts("*", "gpu-1"));
  EXPECT_FALSE(acts("-*", "gpu-1"));
  EXPECT_FALSE(acts("", ""));
  EXPECT_FALSE(ActsFor({Role::kOperator, "gpu-1", Proof::kCertificate}, "gpu-1"));
  EXPECT_TRUE(ActsFor({Role::kOperator, "anonymous", Proof::kInsecure}, "gpu-1"));
}

}  // namespace
}  // namespace muster
