#include "worker/rank/loss/loss_cases.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "test_paths.h"
#include "worker/rank/loss/testing/dense_reference.h"

namespace muster {
namespace {

using Json = nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kShared[] = {MUSTER_SOURCE_DIR "/../shared/reference/loss_cases.json",
                                   MUSTER_SOURCE_DIR "/../shared/reference/mean1lh_cases.json"};

Json CaseFrom(const std::string& name, const DenseBatch& batch) {
  const DenseResult expected = EvaluateDense(batch);
  Json json = {{"name", name},
               {"objective", absl::AsciiStrToLower(v1::Objective_Name(batch.objective).substr(sizeof("OBJECTIVE_") - 1))},
               {"temperature", batch.temperature},
               {"queries", batch.queries},
               {"passages", batch.passages},
               {"positives", batch.positives},
               {"ignored", batch.ignored},
               {"expect",
                {{"loss", expected.loss},
                 {"valid_rows", expected.valid_rows},
                 {"d_queries", expected.d_queries},
                 {"d_passages", expected.d_passages}}}};
  if (!batch.grades.empty()) json["grades"] = batch.grades;
  if (!batch.weights.empty()) json["query_weights"] = batch.weights;
  return json;
}

// Four ragged batches of every objective.
Json OwnCases() {
  Json cases = Json::array();
  for (int objective = v1::Objective_MIN + 1; objective <= v1::Objective_MAX; ++objective) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      cases.push_back(CaseFrom(absl::StrCat("own-", objective, "-", seed),
                               RandomBatch(seed, static_cast<v1::Objective>(objective))));
    }
  }
  return cases;
}

std::string Written(const Json& json) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  std::string name = absl::StrCat(test->test_suite_name(), "_", test->name(), ".json");
  std::ranges::replace(name, '/', '_');
  const std::string path = absl::StrCat(testing::TempDir(), "/", name);
  std::ofstream(path) << json.dump();
  return path;
}

struct Split {
  int64_t world_size, tile_rows, tile_columns;
};
class LossCases : public testing::TestWithParam<Split> {
 protected:
  void SetUp() override { at::set_num_threads(1); }  // the ranks are threads already
};

void ExpectMet(const std::string& file, const LossCaseOptions& options, double float64_limit) {
  const auto outcomes = RunLossCases(file, options);
  ASSERT_TRUE(outcomes.ok()) << outcomes.status();
  ASSERT_FALSE(outcomes->empty());
  double largest = 0;
  for (const LossCaseOutcome& outcome : *outcomes) {
    largest = std::max(largest, outcome.difference);
    EXPECT_TRUE(outcome.passed) << outcome.name << ": " << outcome.difference << " > " << outcome.limit;
    if (options.double_precision) {
      EXPECT_LE(outcome.difference, float64_limit) << outcome.name;
    }
  }
  std::printf("%zu cases, largest difference %.2e\n", outcomes->size(), largest);
}

TEST_P(LossCases, OfTheSharedFilesAreMet) {
  const auto [world, rows, columns] = GetParam();
  for (const char* const file : kShared) {
    if (!std::filesystem::exists(file)) GTEST_SKIP() << "left out: " << file << " is absent";
    ExpectMet(file, {.world_size = world, .tile_rows = rows, .tile_columns = columns}, 0);
    ExpectMet(file, {.world_size = world, .tile_rows = rows, .tile_columns = columns, .kept_bytes = 0}, 0);
  }
}

TEST_P(LossCases, OfADenseReferenceAreMet) {
  const auto [world, rows, columns] = GetParam();
  const std::string file = Written(OwnCases());
  ExpectMet(file, {.world_size = world, .tile_rows = rows, .tile_columns = columns}, 0);
  ExpectMet(file, {.world_size = world, .tile_rows = rows, .tile_columns = columns, .double_precision = true}, 1e-12);
}

std::vector<Split> AllSplits() {
  std::vector<Split> splits;
  for (const int64_t world : {1, 2, 3, 4, 8}) {
    for (const auto& [rows, columns] : {std::pair{1, 1}, {2, 3}, {7, 5}, {4096, 4096}}) {
      splits.push_back({world, rows, columns});
    }
  }
  return splits;
}
INSTANTIATE_TEST_SUITE_P(Splits, LossCases, testing::ValuesIn(AllSplits()), [](const auto& split) {
  return absl::StrCat("W", split.param.world_size, "Tile", split.param.tile_rows, "x", split.param.tile_columns);
});

// The exit code of the program on a file, and what it printed.
std::pair<int, std::string> RunProgram(const std::string& arguments) {
  const std::string command = absl::StrCat("'" MUSTER_BINARY_DIR "/muster-loss-cases' ", arguments, " 2>&1");
  std::FILE* program = popen(command.c_str(), "r");
  std::string output;
  for (int c; (c = std::fgetc(program)) != EOF;) output.push_back(static_cast<char>(c));
  const int status = pclose(program);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

// The first batch that has a loss, and so gradients.
Json OneCase() {
  uint64_t seed = 0;
  while (EvaluateDense(RandomBatch(seed, v1::OBJECTIVE_LSEPAIR)).loss < 0.1) ++seed;
  return CaseFrom("one", RandomBatch(seed, v1::OBJECTIVE_LSEPAIR));
}

TEST(LossCasesProgram, ExitsWithZeroWhereAllCasesAreMet) {
  const auto [code, output] = RunProgram("--world-size 3 --tile-rows 2 --tile-columns 3 " + Written(OwnCases()));
  EXPECT_EQ(code, 0) << output;
  EXPECT_THAT(output, HasSubstr("24 cases, 0 failed"));
}

TEST(LossCasesProgram, FailsOnAnyWrongExpectation) {
  for (const std::string wrong : {"loss", "valid_rows", "d_queries", "d_passages"}) {
    Json good = OneCase(), bad = good;
    bad["name"] = "wrong";
    Json& value = bad["expect"][wrong];
    if (value.is_array()) {
      value[0][0] = value[0][0].get<double>() + 1e-3;
    } else {
      value = value.get<double>() + 1;
    }
    if (wrong == "valid_rows") value = static_cast<int64_t>(value.get<double>());
    const auto [code, output] = RunProgram("--world-size 2 " + Written(Json::array({good, bad})));
    EXPECT_NE(code, 0) << wrong;
    EXPECT_THAT(output, AllOf(HasSubstr("ok     one"), HasSubstr("FAILED wrong"), HasSubstr("2 cases, 1 failed")));
  }
}

TEST(LossCasesProgram, DemandsExactZerosWhereAllIsZero) {
  Json one = OneCase();
  for (auto& row : one["expect"]["d_queries"]) {
    for (auto& x : row) x = 0.0;
  }
  const auto outcomes = RunLossCases(Written(Json::array({one})), {});
  ASSERT_TRUE(outcomes.ok());
  EXPECT_FALSE(outcomes->at(0).passed);
  EXPECT_TRUE(std::isinf(outcomes->at(0).difference));
}

TEST(LossCasesProgram, RefusesAMalformedCaseByName) {
  const std::vector<std::pair<std::string, std::function<void(Json&)>>> faults = {
      {"unknown objective joint", [](Json& c) { c["objective"] = "joint"; }},
      {"a column is out of range", [](Json& c) { c["positives"][0] = {1000}; }},
      {"a column is out of range", [](Json& c) { c["ignored"][0] = {-1}; }},
      {"a row names a column twice", [](Json& c) { c["positives"][0] = c["ignored"][0] = {0}; c.erase("grades"); }},
      {"as many rows as queries", [](Json& c) { c["positives"].erase(0); }},
      {"temperature must be above 0", [](Json& c) { c["temperature"] = 0; }},
      {"rows of a matrix differ in length", [](Json& c) { c["queries"][0].push_back(1.0); }},
      {"'passages' not found", [](Json& c) { c.erase("passages"); }},
      {"'expect' not found", [](Json& c) { c.erase("expect"); }},
      {"must have the shapes", [](Json& c) { c["expect"]["d_queries"].push_back(c["expect"]["d_queries"][0]); }},
      {"a weight is below 0",
       [](Json& c) { c["query_weights"] = std::vector<double>(c["queries"].size(), -1.0); }},
      {"a grade is not above 0",
       [](Json& c) {
         c["grades"] = Json::array();
         for (const auto& row : c["positives"]) c["grades"].push_back(std::vector<double>(row.size(), 0.0));
       }},
  };
  for (const auto& [message, fault] : faults) {
    Json bad = OneCase();
    bad["name"] = "the-bad-one";
    fault(bad);
    const auto outcomes = RunLossCases(Written(Json::array({OneCase(), bad})), {});
    EXPECT_EQ(outcomes.status().code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_THAT(std::string(outcomes.status().message()), AllOf(HasSubstr("case the-bad-one: "), HasSubstr(message)));
  }
  EXPECT_THAT(std::string(RunLossCases(Written(Json::array({1})), {}).status().message()), HasSubstr("case number 1: "));
  EXPECT_THAT(std::string(RunLossCases(Written(Json::object()), {}).status().message()), HasSubstr("a JSON list"));
  EXPECT_EQ(RunLossCases("/absent.json", {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(RunProgram("/absent.json").first, 0);
}

}  // namespace
}  // namespace muster
