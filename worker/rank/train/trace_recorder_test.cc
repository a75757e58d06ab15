#include "worker/rank/train/trace_recorder.h"

#include <ATen/Parallel.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "common/files.h"
#include "common/process/leave.h"

namespace muster {
namespace {

using testing::HasSubstr;

// A process that has recorded must exit like a rank: see trace_recorder.h.
struct LeavesAtTheEnd : testing::EmptyTestEventListener {
  void OnTestProgramEnd(const testing::UnitTest& test) override { Leave(test.Passed() ? 0 : 1); }
};
const bool kLeaves = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new LeavesAtTheEnd);
  return true;
}();

// Runs `steps` steps, each a product of matrices of size 3 + step, and returns the steps after which the recorder had written
// its file.
std::vector<uint64_t> StepsWithTrace(TraceRecorder& recorder, uint64_t steps) {
  at::set_num_threads(1);
  std::vector<uint64_t> written;
  for (uint64_t step = 0; step < steps; ++step) {
    recorder.BeforeStep();
    const int64_t size = 3 + static_cast<int64_t>(step);
    at::mm(at::ones({size, size}), at::ones({size, size}));
    const auto done = recorder.AfterStep(step + 1 == steps);
    EXPECT_TRUE(done.ok()) << done.status();
    if (done.ok() && *done) written.push_back(step);
  }
  return written;
}

// Sizes of the products that a trace holds.
std::set<int64_t> RecordedSizes(const std::filesystem::path& file) {
  std::set<int64_t> sizes;
  const auto trace = nlohmann::json::parse(*ReadFile(file));
  for (const auto& event : trace.at("traceEvents")) {
    if (event.value("name", "") != "aten::mm") continue;
    sizes.insert(event.at("args").at("Input Dims").at(0).at(0).get<int64_t>());
  }
  return sizes;
}

std::filesystem::path File() {
  const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / (std::string(test.name()) + ".json");
  std::filesystem::remove(file);
  return file;
}

TEST(TraceRecorder, RecordsTheStepsAskedForAndNoOther) {
  const auto file = File();
  TraceRecorder recorder({.skip = 2, .steps = 3, .file = file});
  EXPECT_THAT(StepsWithTrace(recorder, 8), testing::ElementsAre(4));
  EXPECT_EQ(RecordedSizes(file), (std::set<int64_t>{5, 6, 7}));
}

TEST(TraceRecorder, TheLastStepOfTheRunEndsTheRecording) {
  const auto file = File();
  TraceRecorder recorder({.skip = 1, .steps = 100, .file = file});
  EXPECT_THAT(StepsWithTrace(recorder, 3), testing::ElementsAre(2));
  EXPECT_EQ(RecordedSizes(file), (std::set<int64_t>{4, 5}));
}

TEST(TraceRecorder, WithoutStepsRecordsNothing) {
  const auto file = File();
  TraceRecorder recorder({.steps = 0, .file = file});
  EXPECT_THAT(StepsWithTrace(recorder, 4), testing::IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST(TraceRecorder, ATraceThatCannotBeWrittenIsAnErrorWithItsPlace) {
  TraceRecorder recorder({.skip = 0, .steps = 1, .file = "/nonexistent/trace.json"});
  recorder.BeforeStep();
  EXPECT_THAT(std::string(recorder.AfterStep(false).status().message()), HasSubstr("/nonexistent/trace.json"));
  recorder.BeforeStep();  // and training continues
  EXPECT_TRUE(recorder.AfterStep(true).ok());
}

}  // namespace
}  // namespace muster
