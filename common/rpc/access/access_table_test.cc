#include "common/rpc/access/access_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/rpc/access/testing.h"
#include "common/view.h"
#include "test_paths.h"

namespace muster {
namespace {

// Parses the files of proto/muster, so that RPCs that are not linked into this test are included.
std::set<std::string> RpcsOfTheSources() {
  std::set<std::string> methods;
  const std::regex line(R"((?:^|\n)\s*(service|rpc) (\w+)\s*[({])");
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(std::filesystem::path(MUSTER_SOURCE_DIR) / "proto/muster")) {
    if (entry.path().extension() != ".proto") continue;
    const std::string text = ReadFile(entry.path()).value();
    std::string service;
    for (std::sregex_iterator it(text.begin(), text.end(), line), end; it != end; ++it) {
      if ((*it)[1] == "service") {
        service = (*it)[2];
      } else {
        methods.insert(absl::StrCat(service, "/", (*it)[2].str()));
      }
    }
  }
  return methods;
}

TEST(AccessTable, HasOneEntryForEveryRpcAndNoOther) {
  std::set<std::string> listed;
  for (const AccessRule& rule : AccessRules()) {
    EXPECT_TRUE(listed.insert(std::string(rule.method)).second) << rule.method << " is listed twice";
  }
  EXPECT_EQ(listed, RpcsOfTheSources());
  const std::vector<std::string> linked = EveryRpc();
  EXPECT_EQ(std::set<std::string>(linked.begin(), linked.end()), listed)
      << "common/rpc/access/testing.cc names each file";
  EXPECT_EQ(FindRule("JobService/Steal"), nullptr);
}

TEST(AccessTable, EachUserRoleMayDoWhatThePreviousOneMay) {
  for (const AccessRule& rule : AccessRules()) {
    EXPECT_LE(rule.roles.contains(Role::kViewer), rule.roles.contains(Role::kSubmitter)) << rule.method;
    EXPECT_LE(rule.roles.contains(Role::kSubmitter), rule.roles.contains(Role::kOperator)) << rule.method;
    EXPECT_FALSE(rule.roles.contains(Role::kUnknown)) << rule.method;
    if (rule.roles.contains(Role::kViewer)) {
      EXPECT_EQ(rule.effect, AccessRule::Effect::kReads) << rule.method;
    }
  }
}

TEST(AccessTable, IsInTheDocument) {
  const std::string document = ReadFile(std::filesystem::path(MUSTER_SOURCE_DIR) / "docs/operate/security.md").value();
  size_t rows = 0;
  for (size_t at = 0; (at = document.find("Service/", at)) != std::string::npos; ++at) {
    rows += at > 3 && document.rfind("\n| `", at) + 20 > at;
  }
  EXPECT_EQ(rows, AccessRules().size());
  for (const AccessRule& rule : AccessRules()) {
    std::string row = absl::StrCat("| `", ToAbsl(rule.method), "` |");
    for (const Role role :
         {Role::kViewer, Role::kSubmitter, Role::kOperator, Role::kWorker, Role::kCoordinator, Role::kData}) {
      absl::StrAppend(&row, rule.roles.contains(role) ? " yes |" : " – |");
    }
    EXPECT_THAT(document, testing::HasSubstr(row));
  }
}

}  // namespace
}  // namespace muster
