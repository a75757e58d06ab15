#include "coordinator/core/testing/scenario.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/files.h"
#include "test_paths.h"

namespace muster {
namespace {

std::filesystem::path Folder() { return std::filesystem::path(MUSTER_SOURCE_DIR) / "coordinator/core/scenarios"; }

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(Folder())) {
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Scenario : public testing::TestWithParam<std::string> {};

TEST_P(Scenario, GoesAsWritten) {
  const auto script = ReadFile(Folder() / (GetParam() + ".txt"));
  ASSERT_TRUE(script.ok()) << script.status();
  const absl::Status status = RunScenario(*script);
  EXPECT_TRUE(status.ok()) << GetParam() << ".txt: " << status.message();
}

INSTANTIATE_TEST_SUITE_P(Scripts, Scenario, testing::ValuesIn(Names()),
                         [](const auto& info) { return info.param; });

TEST(ScenarioRunner, NoticesWhatWasNotWritten) {
  EXPECT_FALSE(RunScenario("worker w1 slots=1\nsubmit a slots=1").ok());
  EXPECT_FALSE(RunScenario("worker w1 slots=1\nsubmit a slots=1 -> reserve a#1 w1[1]").ok());
}

}  // namespace
}  // namespace muster
