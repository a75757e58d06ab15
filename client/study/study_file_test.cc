#include "client/study/study_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/job_file.h"
#include "client/study/testing/study_results.h"
#include "common/deterministic_bytes.h"
#include "common/files.h"
#include "test_paths.h"

namespace muster {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

StudyFile Read(const std::string& lines) {
  auto study = ParseStudyFile("pilot.yaml", StudyText(lines));
  EXPECT_TRUE(study.ok()) << study.status();
  return study.ok() ? *std::move(study) : StudyFile();
}

std::string ErrorOfText(const std::string& text) {
  const auto study = ParseStudyFile("pilot.yaml", text);
  EXPECT_TRUE(absl::IsInvalidArgument(study.status())) << study.status();
  return std::string(study.status().message());
}
std::string ErrorOf(const std::string& lines) { return ErrorOfText(StudyText(lines)); }

std::vector<std::string> Labels(const StudyFile& study) {
  std::vector<std::string> labels;
  for (const StudyArm& arm : study.arms) labels.push_back(arm.label);
  return labels;
}

constexpr char kTwoByTwo[] =
    "grid:\n"
    "  loss.objective: [jointlh, lsepair]\n"
    "  data.positives.per_query: [1, 4]\n"
    "seeds: [3, 5]\n";

TEST(StudyFile, AGridHasACellPerArmAndSeed) {
  const StudyFile study = Read(kTwoByTwo);
  EXPECT_THAT(Labels(study), ElementsAre("objective=jointlh, per_query=1", "objective=jointlh, per_query=4",
                                         "objective=lsepair, per_query=1", "objective=lsepair, per_query=4"));
  ASSERT_EQ(study.cells.size(), 8u);
  const StudyCell& cell = study.cells[5];
  EXPECT_EQ(cell.arm, 2u);
  EXPECT_EQ(cell.seed, 5u);
  EXPECT_EQ(cell.spec.loss().objective(), muster::v1::OBJECTIVE_LSEPAIR);
  EXPECT_EQ(cell.spec.data().positives().per_query(), 1u);
  EXPECT_EQ(cell.spec.seed(), 5u);
  EXPECT_EQ(cell.spec.data().train(), "scifact");
  EXPECT_EQ(cell.spec.name(), cell.job_name);
  EXPECT_THAT(cell.job_name, StartsWith("pilot.lsepair-1-s5."));
  EXPECT_EQ(study.pairs.size(), 4u) << "arms that differ in one factor";
}

TEST(StudyFile, NamedSetsChangeFieldsTogether) {
  const StudyFile study = Read(
      "grid:\n"
      "  labels:\n"
      "    human: {data.positives.sources: [human], data.positives.min_grade: 1}\n"
      "    both: {}\n"
      "  model:\n"
      "  - {from: minilm}\n"
      "  - {from: other, normalize: true}\n"
      "seeds: 2\n");
  EXPECT_THAT(Labels(study),
              ElementsAre("labels=human, model={from: minilm}", "labels=human, model={from: other, normalize: true}",
                          "labels=both, model={from: minilm}", "labels=both, model={from: other, normalize: true}"));
  EXPECT_THAT(study.seeds, ElementsAre(1, 2));
  EXPECT_THAT(study.cells[0].spec.data().positives().sources(), ElementsAre("human"));
  EXPECT_EQ(study.cells[4].spec.data().positives().sources_size(), 0);
  EXPECT_EQ(study.cells[2].spec.model().from(), "other");
}

// The guide's studies of robustness and of label regimes (docs/guides/studies.md).
TEST(StudyFile, LabelNoisePositivesAndStagesAreFactorsLikeOthers) {
  const StudyFile noise = Read(
      "grid:\n"
      "  labels:\n"
      "    clean: {}\n"
      "    random20: {data.noise.random_passages: 0.2}\n"
      "    hard20: {data.noise.hard_negatives: 0.2}\n"
      "  data.noise.seed: [17, 18]\n"
      "exclude: [{labels: clean, data.noise.seed: 18}]\n"
      "seeds: 1\n");
  EXPECT_THAT(Labels(noise), ElementsAre("labels=clean, seed=17", "labels=random20, seed=17", "labels=random20, seed=18",
                                         "labels=hard20, seed=17", "labels=hard20, seed=18"));
  EXPECT_EQ(noise.cells[2].spec.data().noise().random_passages(), 0.2);
  EXPECT_EQ(noise.cells[2].spec.data().noise().seed(), 18);
  EXPECT_EQ(noise.cells[4].spec.data().noise().hard_negatives(), 0.2);
  EXPECT_EQ(noise.cells[4].spec.seed(), 1) << "the job's own seed";

  const StudyFile regimes = Read(
      "grid:\n"
      "  labels:\n"
      "    human: {data.positives.sources: [human]}\n"
      "    staged: {duration: null, stages: [{sources: [llm], epochs: 3}, {sources: [human], epochs: 1}]}\n"
      "  data.positives.per_query: [1, 0]\n"
      "seeds: 1\n");
  ASSERT_EQ(regimes.cells.size(), 4u);
  EXPECT_EQ(regimes.cells[0].spec.stages_size(), 0);
  const muster::v1::JobSpec& staged = regimes.cells[3].spec;
  ASSERT_EQ(staged.stages_size(), 2);
  EXPECT_THAT(staged.stages(0).sources(), ElementsAre("llm"));
  EXPECT_EQ(staged.stages(1).epochs(), 1u);
  EXPECT_EQ(staged.duration().length_case(), muster::v1::DurationSpec::LENGTH_NOT_SET);
  EXPECT_TRUE(staged.data().positives().has_per_query());
}

TEST(StudyFile, ExcludedArmsAreLeftOut) {
  const StudyFile study =
      Read(absl::StrCat(kTwoByTwo, "exclude: [{loss.objective: lsepair, data.positives.per_query: [1]}]\n"));
  EXPECT_THAT(Labels(study), ElementsAre("objective=jointlh, per_query=1", "objective=jointlh, per_query=4",
                                         "objective=lsepair, per_query=4"));
}

TEST(StudyFile, TheReportChoosesWhatIsCompared) {
  EXPECT_EQ(Read(absl::StrCat(kTwoByTwo, "report: {compare: all}\n")).pairs.size(), 6u);
  const StudyFile with_baseline =
      Read(absl::StrCat(kTwoByTwo, "report: {baseline: {loss.objective: jointlh}, metrics: [mrr, ndcg@10]}\n"));
  ASSERT_EQ(with_baseline.pairs.size(), 2u);
  EXPECT_EQ(with_baseline.pairs[0].a, 0u);
  EXPECT_EQ(with_baseline.pairs[0].b, 2u);
  EXPECT_EQ(with_baseline.pairs[1].a, 1u);
  EXPECT_EQ(with_baseline.pairs[1].b, 3u);
  EXPECT_THAT(with_baseline.metrics, ElementsAre("mrr", "ndcg@10"));
}

TEST(StudyFile, RequestIdsDependOnStudyAndCellAndNothingElse) {
  const StudyFile study = Read(kTwoByTwo);
  std::set<std::string> ids, names;
  for (const StudyCell& cell : study.cells) {
    EXPECT_TRUE(ids.insert(cell.request_id).second);
    EXPECT_TRUE(names.insert(cell.job_name).second);
    EXPECT_TRUE(IsValidName(cell.job_name)) << cell.job_name;
    EXPECT_LE(cell.request_id.size(), 120u);
  }
  // Another order of keys, values and seeds; more arms; another report.
  const StudyFile other = Read(
      "report: {metrics: mrr}\n"
      "seeds: [5, 7, 3]\n"
      "grid:\n"
      "  data.positives.per_query: [4, 2, 1]\n"
      "  loss.objective: [lsepair, jointlh]\n");
  std::set<std::string> other_ids;
  for (const StudyCell& cell : other.cells) other_ids.insert(cell.request_id);
  for (const std::string& id : ids) EXPECT_TRUE(other_ids.contains(id));
  // Another study has other jobs.
  std::string text = StudyText(kTwoByTwo);
  text.replace(text.find("pilot"), 5, "final");
  const auto renamed = ParseStudyFile("pilot.yaml", text);
  ASSERT_TRUE(renamed.ok());
  for (const StudyCell& cell : renamed->cells) EXPECT_FALSE(ids.contains(cell.request_id));
  EXPECT_EQ(StudyRequestId(study.cells[0], 0), study.cells[0].request_id);
  EXPECT_NE(StudyRequestId(study.cells[0], 1), StudyRequestId(study.cells[0], 2));
}

TEST(StudyFile, ACellIsTheJobFileWithItsValues) {
  const StudyFile study = Read(kTwoByTwo);
  auto job = ParseJobFile("job", StudyText("").substr(StudyText("").find("  model")) + "  name: x\n",
                          {"loss.objective=lsepair", "data.positives.per_query=4", "seed=3"});
  ASSERT_TRUE(job.ok()) << job.status();
  job->set_name(study.cells[6].job_name);
  EXPECT_EQ(DeterministicBytes(*job), DeterministicBytes(study.cells[6].spec));
}

// The first block of YAML of a page.
std::string YamlOf(const std::string& page) {
  const auto text = ReadFile(std::filesystem::path(MUSTER_SOURCE_DIR) / page);
  EXPECT_TRUE(text.ok()) << text.status();
  const std::string fence = "```yaml\n";
  const size_t begin = text->find(fence) + fence.size();
  return text->substr(begin, text->find("```\n", begin) - begin);
}

TEST(StudyFile, TheFilesOfTheDocumentationAreRight) {
  const auto guide = ParseStudyFile("guide", YamlOf("docs/guides/studies.md"));
  ASSERT_TRUE(guide.ok()) << guide.status();
  EXPECT_EQ(guide->arms.size(), 5u);
  EXPECT_EQ(guide->cells.size(), 25u) << "as the page says";
  const auto reference = ParseStudyFile("reference", YamlOf("docs/reference/study-file.md"));
  ASSERT_TRUE(reference.ok()) << reference.status();
  EXPECT_EQ(reference->arms.size(), 10u);
  EXPECT_EQ(reference->arms.front().label, "objective=jointlh, model={from: minilm}, labels=human");
  EXPECT_EQ(reference->pairs.size(), 4u);
}

TEST(StudyFile, ErrorsNameThePlaceAndTheRemedy) {
  EXPECT_THAT(ErrorOf("seeds: 2\ngrid:\n  loss.objektive: [jointlh]\n"),
              AllOf(StartsWith("pilot.yaml:9: loss.objektive: unknown key. Allowed: "),
                    HasSubstr("Did you mean \"objective\"?"), HasSubstr("This is the arm \"objektive=jointlh\".")));
  EXPECT_THAT(
      ErrorOf("seeds: 2\ngrid:\n  loss.objective:\n  - jointlh\n  - lse_pair\n"),
      AllOf(StartsWith("pilot.yaml:11: loss.objective: unknown value \"lse_pair\"."), HasSubstr("Did you mean \"lsepair\"?")));
  EXPECT_THAT(ErrorOf("seeds: 2\ngrid:\n  loss.temperature: [0.05, -1]\n"), StartsWith("pilot.yaml:9: loss.temperature: "));
  EXPECT_THAT(ErrorOf("seeds: 2\ngrid:\n  loss.temperature: [0.05, null]\n"),
              AllOf(StartsWith("pilot.yaml:9: grid: the arms \"temperature=0.05\" and \"temperature=null\" are the same job."),
                    HasSubstr("Remove one")));
  EXPECT_THAT(ErrorOf("seeds: 2\ngrid:\n  loss.temperature: [0.05, 0.05]\n"),
              HasSubstr("\"0.05\" is given twice. Remove one."));
  EXPECT_THAT(ErrorOf("seeds: 2000\ngrid:\n  data.positives.per_query: [1, 2, 3, 4, 5, 6]\n"),
              HasSubstr("grid: has 12,000 cells, and a study at most 10,000. Make several studies"));
  EXPECT_THAT(ErrorOf("grid: {seed: [1, 2]}\nseeds: 2\n"), HasSubstr("grid.seed: seeds gives them, too. Remove one."));
  EXPECT_THAT(ErrorOf("seeds: [1, 1]\n"), StartsWith("pilot.yaml:7: seeds: 1 is given twice."));
  EXPECT_THAT(ErrorOf("seeds: some\n"), HasSubstr("\"some\" is not a number of seeds"));
  EXPECT_THAT(ErrorOf("grid: {loss.temperature: [1]}\n"), HasSubstr("seeds: is missing."));
  EXPECT_THAT(ErrorOf("seed: 2\n"), HasSubstr("pilot.yaml:7: seed: unknown key. Allowed: "));
  EXPECT_THAT(ErrorOf("seeds: 2\ngrid: {loss.temperature: 0.1}\n"), HasSubstr("must be a list of values"));
  EXPECT_THAT(ErrorOf("seeds: 2\ngrid: {loss.temperature: []}\n"), HasSubstr("has no value."));
  EXPECT_THAT(ErrorOf("seeds: 2\ngrid: {name: [a]}\n"), HasSubstr("a study names its jobs itself."));
  EXPECT_THAT(ErrorOf("seeds: 2\ngrid: {model: [{from: a}], model.from: [b]}\n"),
              HasSubstr("grid.model.from: sets model.from, and grid.model sets model. Join them"));
  EXPECT_THAT(ErrorOf(absl::StrCat(kTwoByTwo, "exclude: [{loss.objektive: lsepair}]\n")),
              HasSubstr("exclude.loss.objektive: is not a key of the grid. Allowed: loss.objective"));
  EXPECT_THAT(ErrorOf(absl::StrCat(kTwoByTwo, "exclude: [{loss.objective: rand1lh}]\n")),
              HasSubstr("is not a value of the grid."));
  EXPECT_THAT(ErrorOf(absl::StrCat(kTwoByTwo, "exclude: [{loss.objective: [jointlh, lsepair]}]\n")),
              HasSubstr("excludes all arms."));
  EXPECT_THAT(ErrorOf(absl::StrCat(kTwoByTwo, "report: {metrics: p@5}\n")),
              HasSubstr("report.metrics: unknown metric \"p@5\""));
  EXPECT_THAT(ErrorOf(absl::StrCat(kTwoByTwo, "report: {metrics: precision@5}\n")), HasSubstr("do not measure precision@5."));
  EXPECT_THAT(ErrorOf(absl::StrCat(kTwoByTwo, "report: {compare: some}\n")), HasSubstr("Allowed: one_factor, all."));
  EXPECT_THAT(ErrorOf(absl::StrCat(kTwoByTwo, "report: {difference: 0}\n")), HasSubstr("is not a number above 0"));
  EXPECT_THAT(ErrorOfText("study: A b\nbase: {}\nseeds: 1\n"), StartsWith("pilot.yaml:1: study: \"A b\" is not a name"));
  EXPECT_THAT(ErrorOfText("study: a\nbase: {name: x}\nseeds: 1\n"), HasSubstr("base.name: a study names its jobs itself."));
  EXPECT_THAT(ErrorOfText("study: a\nbase: {seed: 4}\nseeds: 1\n"), HasSubstr("base.seed: seeds gives the seeds"));
  EXPECT_THAT(ErrorOfText("study: a\nseeds: 1\n"), HasSubstr("base: is missing"));
  EXPECT_THAT(ErrorOfText("study: a\nbase: {model: {from: m}, data: {train: t}, duration: {epochs: 1}}\nseeds: 1\n"),
              HasSubstr("base.report: is missing"));
  EXPECT_THAT(ErrorOfText("study: [\n"), HasSubstr("is not valid YAML"));
  EXPECT_THAT(ErrorOfText(""), HasSubstr("must hold one study."));
}

}  // namespace
}  // namespace muster
