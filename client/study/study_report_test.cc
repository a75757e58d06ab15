#include "client/study/study_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <map>

#include "client/study/testing/study_results.h"

namespace muster {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kSeed = 21;

StudyFile Study(const std::string& more = "") {
  auto study =
      ParseStudyFile("pilot.yaml", StudyText("grid: {loss.objective: [jointlh, lsepair, rand1lh]}\nseeds: 5\n" + more));
  EXPECT_TRUE(study.ok()) << study.status();
  return *std::move(study);
}

// The second arm is better by 0.1, the third is like the first.
std::vector<CellResult> Results(const StudyFile& study) {
  std::cout << "seed " << kSeed << "\n";
  CounterRandom random(kSeed);
  return DrawResults(study, {0.5, 0.6, 0.5}, 100, {}, random);
}

std::map<std::string, std::string> Files(const StudyFile& study, const std::vector<CellResult>& results) {
  std::map<std::string, std::string> files;
  for (const auto& [name, text] : StudyReportFiles(study, results)) files[name] = text;
  return files;
}

TEST(StudyReport, CallsADifferenceOnlyWhereThereIsOne) {
  const StudyFile study = Study();
  const StudyFigures figures = FiguresOf(study, Results(study));
  ASSERT_EQ(figures.pairs.size(), 3u);
  EXPECT_EQ(figures.tests, 3u);
  EXPECT_TRUE(figures.pairs[0].is_difference);
  EXPECT_FALSE(figures.pairs[1].is_difference);
  EXPECT_TRUE(figures.pairs[2].is_difference);
  EXPECT_THAT(figures.pairs[0].verdict, HasSubstr("objective=lsepair is better than objective=jointlh: by 0."));
  EXPECT_THAT(figures.pairs[1].verdict, HasSubstr("no difference shown between objective=jointlh and objective=rand1lh (p = "));
  EXPECT_THAT(figures.pairs[2].verdict, HasSubstr("objective=lsepair is better than objective=rand1lh"));
  EXPECT_EQ(figures.pairs[0].basis, PairBasis::kCrossed);
  EXPECT_EQ(figures.pairs[0].queries, 100u);
  EXPECT_EQ(figures.pairs[0].seeds_won.wins, 5);
  EXPECT_TRUE(figures.notes.empty());
}

TEST(StudyReport, IsAPureFunctionOfTheResults) {
  const StudyFile study = Study();
  const std::vector<CellResult> results = Results(study);
  EXPECT_EQ(Files(study, results), Files(study, results));
  EXPECT_EQ(Files(study, results).size(), 5u);
  std::vector<CellResult> other = results;
  other[3].trained["ndcg@10"] += 1e-6;
  EXPECT_NE(Files(study, results).at("jobs.csv"), Files(study, other).at("jobs.csv"));
}

TEST(StudyReport, WithoutValuesByQueryTestsSeedsAndSaysSo) {
  const StudyFile study = Study();
  std::vector<CellResult> results = Results(study);
  for (CellResult& result : results) result.by_query.clear();
  const StudyFigures figures = FiguresOf(study, results);
  EXPECT_EQ(figures.pairs[0].basis, PairBasis::kSeeds);
  EXPECT_EQ(figures.pairs[0].p, figures.pairs[0].p_seeds);
  EXPECT_EQ(figures.pairs[0].p_queries, std::nullopt);
  EXPECT_THAT(figures.notes, Contains(HasSubstr("Values by query are missing for 15 jobs of 15")));
}

TEST(StudyReport, OneSeedIsNotTested) {
  const StudyFile study = *ParseStudyFile("pilot.yaml", StudyText("grid: {loss.objective: [jointlh, lsepair]}\nseeds: 1\n"));
  CounterRandom random(kSeed);
  const StudyFigures figures = FiguresOf(study, DrawResults(study, {0.4, 0.8}, 50, {}, random));
  EXPECT_EQ(figures.tests, 0u);
  EXPECT_FALSE(figures.pairs[0].is_difference);
  EXPECT_THAT(figures.pairs[0].verdict, HasSubstr("not tested, because one seed says nothing about others"));
  EXPECT_LT(*figures.pairs[0].p_queries, 0.001);
}

TEST(StudyReport, NamesWhatIsMissing) {
  const StudyFile study = Study();
  std::vector<CellResult> results = Results(study);
  results[1] = CellResult{.state = "failed"};
  results[7] = CellResult();
  results[8].settings = "other defaults";
  const StudyFigures figures = FiguresOf(study, results);
  EXPECT_EQ(figures.pairs[0].seeds, 3u) << "seeds that both have";
  EXPECT_THAT(figures.notes, Contains("1 cell without a result (failed): objective=jointlh, seed 2."));
  EXPECT_THAT(figures.notes, Contains("1 cell without a result (not submitted): objective=lsepair, seed 3."));
  EXPECT_THAT(figures.notes, Contains(HasSubstr("The jobs of the arm \"objective=lsepair\" differ in more than their seeds")));
}

TEST(StudyReport, ResultsOnOtherContentAreNotCompared) {
  const StudyFile study = Study();
  std::vector<CellResult> results = Results(study);
  for (size_t c = 5; c < 10; ++c) results[c].digest = "d2";
  const StudyFigures replaced = FiguresOf(study, results);
  EXPECT_EQ(replaced.tests, 1u);
  EXPECT_THAT(replaced.pairs[0].verdict, HasSubstr("was imported again between the jobs"));
  for (size_t c = 5; c < 10; ++c) results[c].dataset = "another";
  EXPECT_EQ(FiguresOf(study, results).pairs.size(), 1u) << "sets with different names are not compared";
}

TEST(StudyReport, ShowsTheGradientOnInjectedPositivesWhereThereIsNoise) {
  const StudyFile study = Study();
  std::vector<CellResult> results = Results(study);
  EXPECT_THAT(Files(study, results).at("report.md"), Not(HasSubstr("NOISE WEIGHT")));
  results[5].noise_weight = 0.25;
  results[6].noise_weight = 0.5;
  const auto files = Files(study, results);
  EXPECT_THAT(files.at("report.md"), HasSubstr("| UNTRAINED | NOISE WEIGHT |"));
  EXPECT_THAT(files.at("report.md"), HasSubstr("0.3750 |"));
  EXPECT_THAT(files.at("report.md"), HasSubstr("NOISE WEIGHT is the share of the gradient over positives"));
  EXPECT_THAT(files.at("report.html"), HasSubstr("<th>NOISE WEIGHT</th>"));
  EXPECT_THAT(files.at("arms.csv"), HasSubstr(",untrained,noise_weight\n"));
  EXPECT_THAT(files.at("arms.csv"), HasSubstr(",0.375\n"));
}

TEST(StudyReport, TextsAreNotMarkup) {
  const StudyFile study = *ParseStudyFile(
      "pilot.yaml", StudyText("grid:\n  prompt:\n    \"<script>|&\": {model.prompts.query: a}\n    plain: {}\nseeds: 2\n"));
  CounterRandom random(kSeed);
  const auto files = Files(study, DrawResults(study, {0.4, 0.8}, 50, {}, random));
  EXPECT_THAT(files.at("report.html"), Not(HasSubstr("<script")));
  EXPECT_THAT(files.at("report.html"), HasSubstr("prompt=&lt;script&gt;|&amp;"));
  EXPECT_THAT(files.at("report.html"), HasSubstr("<svg"));
  EXPECT_THAT(files.at("report.md"), HasSubstr("| prompt=<script>\\|& |"));
  EXPECT_THAT(files.at("jobs.csv"), HasSubstr("prompt=<script>|&,1,succeeded,scifact,test,50,1000,"));
}

}  // namespace
}  // namespace muster
