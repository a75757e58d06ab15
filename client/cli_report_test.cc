// muster report against a cluster that answers from memory.
#include <nlohmann/json.hpp>

#include "client/testing/cli_fixture.h"

namespace muster {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CliReportTest : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    jobs_.job.set_id("j1");
    jobs_.job.set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
    auto& spec = *jobs_.job.mutable_spec();
    spec.set_name("first");
    spec.mutable_model()->set_from("minilm");
    spec.mutable_data()->set_train("faq");
    jobs_.job.mutable_resolved()->set_train_dataset("d1");
    data_.stored.mutable_dataset()->set_name("faq");
    data_.stored.mutable_dataset()->set_digest("d1");
    data_.stored.mutable_report()->add_notes("a note of the import");
  }
  void StoreStepLog(const std::string& csv) {
    muster::v1::FileManifest manifest;
    auto& file = *manifest.add_files();
    file.set_path("steps.csv");
    file.set_digest(blobs_.Add(csv));
    jobs_.job.set_step_log_manifest(blobs_.Add(manifest.SerializeAsString()));
  }
  std::string Page(const std::string& name) { return *ReadFile(folder_ / name); }
};

TEST_F(CliReportTest, WritesAPageOfTheJobInAFileOfItsName) {
  StoreStepLog("step,loss,encode_seconds\n1,0.75,0.1\n2,0.5,0.1\n");
  const Result result = Muster("report j1");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, testing::MatchesRegex("wrote first.html, [0-9.]+ kB. Open it in a browser.\n"));
  const std::string page = Page("first.html");
  EXPECT_THAT(page, HasSubstr("<h1>first</h1>"));
  EXPECT_THAT(page, HasSubstr("data-s=\"1 2 4\" data-v=\"0.75|0.5|0.25\"")) << "the history follows the log";
  EXPECT_THAT(page, HasSubstr("from the job&#39;s step log, which has every step: 2 steps. Those after it are from"));
  EXPECT_THAT(page, HasSubstr("a note of the import"));
  EXPECT_THAT(page, HasSubstr("<strong>Seconds per step by phase</strong>"));
}

TEST_F(CliReportTest, ReplacesThePageAndNamesItInJson) {
  const std::string file = Write("page.html", "old");
  const auto json = nlohmann::json::parse(Muster("report j1 --out page.html --output json").out);
  EXPECT_EQ(json["file"], "page.html");
  EXPECT_EQ(json["bytes"], Page("page.html").size());
  EXPECT_EQ(json["jobs"], nlohmann::json::array({"j1"}));
  EXPECT_THAT(Page("page.html"), HasSubstr("The curves are from the coordinator&#39;s history"));
}

TEST_F(CliReportTest, SaysWhatCouldNotBeReadAndWritesTheRest) {
  StoreStepLog("no log\n");
  data_.stored.mutable_dataset()->set_digest("d2");
  const Result result = Muster("report j1");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("note: job j1: The step log cannot be read: the step log has no column \"step\""));
  EXPECT_THAT(Page("first.html"), HasSubstr("The name has other content now (d2)"));
  EXPECT_THAT(Page("first.html"), Not(HasSubstr("a note of the import")));
  cluster_.data_address = "127.0.0.1:1";  // nobody listens there
  const Result without = Muster("report j1");
  EXPECT_EQ(without.code, 0) << without.err;
  EXPECT_THAT(Page("first.html"), HasSubstr("No data server answered, so there is no report of its import."));
}

TEST_F(CliReportTest, ComparesJobsWithRunsOfTheirModels) {
  jobs_.AddListed("j1", "first", muster::v1::JOB_PHASE_SUCCEEDED);
  jobs_.AddListed("j2", "second", muster::v1::JOB_PHASE_SUCCEEDED);
  Write("q.tsv", "a 0 d1 1\nb 0 d1 1\nc 0 d2 1\n");
  Write("1.run", "a Q0 d1 1 2 x\nb Q0 d2 1 2 x\nc Q0 d2 1 2 x\n");
  Write("2.run", "a Q0 d1 1 2 x\nb Q0 d1 1 2 x\nc Q0 d2 1 2 x\n");
  const Result result = Muster("report j1 j2 --run 1.run --run 2.run --qrels q.tsv --metric mrr");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("wrote comparison.html, "));
  EXPECT_THAT(Page("comparison.html"), HasSubstr("<td>mrr</td><td>first (j2)</td><td>1.0000</td>"));
  EXPECT_THAT(Page("comparison.html"), HasSubstr("+0.3333"));
}

TEST_F(CliReportTest, RefusesWhatItCannotShowAndWritesNothing) {
  jobs_.AddListed("j1", "first", muster::v1::JOB_PHASE_SUCCEEDED);
  for (const auto& [arguments, code, message] : std::vector<std::tuple<std::string, int, std::string>>{
           {"report j9", 6, "report: there is no job \"j9\""},
           {"report j1 first", 2, "report: job j1 is given twice. Leave one out."},
           {"report a b c d e f g h i", 2, "report: compares at most 8 jobs, and 9 are given."},
           {"report j1 --run x.run --run y.run --qrels q", 2, "report: --run is given 2 times, for 1 job."},
           {"report j1 --run x.run --qrels q", 2, "report: q: cannot be opened"},
           {"report j1 --run x.run", 2, "--run works only with --qrels"},
           {"report j1 --metric mrr", 2, "--metric works only with --run"},
           {"report j1 --out no/such/page.html", 2, "report: --out no/such/page.html: there is no folder "},
           {"report j1 --out .", 2, "report: --out . is a folder. Name a file in it."}}) {
    const Result result = Muster(arguments);
    EXPECT_EQ(result.code, code) << arguments << "\n" << result.err;
    EXPECT_THAT(result.err, HasSubstr(message)) << arguments;
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "first.html"));
}

}  // namespace
}  // namespace muster
