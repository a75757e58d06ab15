// The muster program following a job, being interrupted, and asked for impossible things.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "client/testing/cli_fixture.h"

namespace muster {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(CliTest, SubmitWaitShowsLossAndBeforeAfter) {
  Write("job.yaml", kJobFile);
  const Result result = Muster("submit job.yaml --wait");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("loss 0.5000")) << "progress, away from results";
  EXPECT_THAT(result.out, StartsWith("job j1 (x)\n"));
  EXPECT_THAT(result.out, HasSubstr("ndcg@10     0.2500   0.7500  +0.5000"));
  EXPECT_THAT(result.out, Not(HasSubstr("loss")));
}

TEST_F(CliTest, WhatFollowsAJobEndsWithTheWholeJob) {
  Write("job.yaml", kJobFile);
  for (const std::string command : {"submit job.yaml --wait", "eval minilm scifact", "watch j1"}) {
    const Result result = Muster(command + " --output json");
    EXPECT_EQ(result.code, 0) << result.err;
    auto job = nlohmann::json::parse(result.out);  // not const, so that a missing key reads as null
    EXPECT_EQ(job["id"], "j1") << command;
    EXPECT_EQ(job["phase"], "JOB_PHASE_SUCCEEDED");
    EXPECT_TRUE(job.contains("reason"));
    EXPECT_EQ(job["metrics"]["ndcg@10"], 0.75) << "of the trained model";
    EXPECT_EQ(job["ndcg@10"].is_null(), command.starts_with("submit")) << "what eval measured is easy to reach";
    EXPECT_THAT(Muster(command + " --output yaml").out, HasSubstr("metrics:\n  ndcg@10: 0.75\n"));
    jobs_.job.clear_evaluations();
  }
  jobs_.last_phase = muster::v1::JOB_PHASE_FAILED;
  const Result failed = Muster("submit job.yaml --wait --output json");
  EXPECT_EQ(failed.code, 1);
  EXPECT_EQ(nlohmann::json::parse(failed.out)["phase"], "JOB_PHASE_FAILED");
}

TEST_F(CliTest, CtrlCSaysWhatHappensToTheJob) {
  jobs_.hang = true;
  const std::string file = Write("job.yaml", kJobFile);
  const std::vector<std::vector<std::string>> commands = {
      {"submit", file, "--wait"}, {"watch", "j1"}, {"eval", "minilm", "scifact"}, {"logs", "-f", "j1"}};
  for (const auto& words : commands) {
    const Result result = Interrupted(words);
    EXPECT_EQ(result.code, 130) << words[0];
    EXPECT_THAT(result.err, HasSubstr("job j1 keeps running.")) << words[0];
    EXPECT_THAT(result.err, HasSubstr(words[0] == "logs" ? "muster logs -f j1" : "muster watch j1, or cancel it with muster cancel j1"));
    if (words[0] == "eval" || words[0] == "submit") {
      EXPECT_THAT(result.out, StartsWith("job j1 (")) << "at once";
    }
  }
}

TEST_F(CliTest, CtrlCOfATransferSaysWhatWasKept) {
  data_.hang = blobs_.hang = &jobs_;
  Result result = Interrupted({"data", "import", "s", Write("s.jsonl", "{}")});
  EXPECT_EQ(result.code, 130);
  EXPECT_THAT(result.err, HasSubstr("An import is kept completely or not at all: see muster data list."));

  muster::v1::FileManifest manifest;
  auto& weights = *manifest.add_files();
  weights.set_path("model.safetensors");
  weights.set_digest(blobs_.hang_at = blobs_.Add("w"));
  jobs_.job.set_export_manifest(blobs_.Add(manifest.SerializeAsString()));
  result = Interrupted({"export", "j1", (folder_ / "some/model").string()});
  EXPECT_EQ(result.code, 130);
  EXPECT_THAT(result.err, HasSubstr("Nothing was written to "));
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "some")) << "the half that was written is removed";
}

TEST_F(CliTest, EveryCommandTakesTheNameOfAJobOrTheBeginningOfItsId) {
  jobs_.AddListed("abc00001", "first", muster::v1::JOB_PHASE_TRAINING);
  jobs_.AddListed("abc00002", "second", muster::v1::JOB_PHASE_FAILED);
  jobs_.AddListed("xyz00001", "second", muster::v1::JOB_PHASE_QUEUED);
  for (const char* command : {"get", "watch", "logs", "logs --rank 0", "metrics", "cancel", "job rm --yes"}) {
    jobs_.lists = 0;
    jobs_.job.Clear();
    EXPECT_EQ(Muster(absl::StrCat(command, " xyz00001")).code, 0) << command;
    EXPECT_EQ(jobs_.lists, 0) << command << ": a whole id costs no list";
    for (const char* job : {"xyz", "first"}) {
      jobs_.job.Clear();
      EXPECT_EQ(Muster(absl::StrCat(command, " ", job)).code, 0) << command << " " << job;
    }
    const Result several = Muster(absl::StrCat(command, " second"));
    EXPECT_EQ(several.code, 2) << command;
    EXPECT_THAT(several.err, HasSubstr("several jobs are named \"second\": abc00002 (second, failed), xyz00001 (second, queued)."));
    EXPECT_EQ(Muster(absl::StrCat(command, " abc")).code, 2) << command;
    const Result none = Muster(absl::StrCat(command, " nothing"));
    EXPECT_EQ(none.code, 6) << command;
    EXPECT_THAT(none.err, HasSubstr("there is no job \"nothing\". See muster jobs.")) << "the coordinator's own error";
  }
  EXPECT_EQ(Muster("cancel first").out, "job abc00001 cancelled\n");
  EXPECT_EQ(Muster("job rm xyz --yes").out, "removed job xyz00001\n");
}

TEST_F(CliTest, TablesFitATerminalAndAreWholeInAPipe) {
  jobs_.AddListed("abc00001", "first", muster::v1::JOB_PHASE_QUEUED);
  jobs_.listed.back().set_reason(std::string(200, 'r') + "!");
  jobs_.listed.back().mutable_submitted()->set_seconds(absl::ToUnixSeconds(absl::Now()) - 185);
  const std::string text = MusterOnTerminal(80, "jobs");
  EXPECT_THAT(text, HasSubstr("abc00001  first  queued  0/0"));
  EXPECT_THAT(text, HasSubstr("3 min ago"));
  EXPECT_THAT(text, HasSubstr("r…\r\n"));
  EXPECT_THAT(Muster("jobs").out, HasSubstr("r!\n"));
  EXPECT_THAT(MusterOnTerminal(80, "jobs --wide"), HasSubstr("r!\r\n"));
  EXPECT_THAT(Muster("jobs --wide").out, Not(HasSubstr("ago")));
  EXPECT_EQ(Muster("jobs --wide --output json").code, 2);
}

TEST_F(CliTest, StatusShowsTheClusterOnOneScreen) {
  jobs_.AddListed("abc00001", "first", muster::v1::JOB_PHASE_TRAINING);
  jobs_.AddListed("abc00002", "second", muster::v1::JOB_PHASE_QUEUED);
  jobs_.AddListed("abc00003", "third", muster::v1::JOB_PHASE_FAILED);
  EXPECT_EQ(Muster("status").code, 1) << "this coordinator lists no workers";
  cluster_.workers.emplace();
  const Result result = Muster("status");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr(absl::StrCat("coordinator   ", address_)));
  EXPECT_THAT(result.out, HasSubstr("queues        research: 0 running, 0 waiting\n"));
  EXPECT_THAT(result.out, HasSubstr("problem  workers: there are none"));
  const auto json = nlohmann::json::parse(Muster("status --output json").out);
  ASSERT_EQ(json["active"].size(), 2);
  EXPECT_EQ(json["active"][0]["id"], "abc00001") << "running jobs first";
  EXPECT_EQ(json["active"][1]["id"], "abc00002");
  ASSERT_EQ(json["ended"].size(), 1);
  EXPECT_EQ(json["ended"][0]["name"], "third");
}

TEST_F(CliTest, TheJobThatAModelComesFromIsCompleted) {
  jobs_.AddListed("abc00001", "first", muster::v1::JOB_PHASE_SUCCEEDED);
  jobs_.AddListed("j1", "x", muster::v1::JOB_PHASE_SUCCEEDED);
  Write("job.yaml", kJobFile);
  EXPECT_EQ(Muster("submit job.yaml --set model.from=job:first").code, 0);
  EXPECT_EQ(Muster("eval job:abc scifact").code, 0);
  ASSERT_EQ(jobs_.requests.size(), 2);
  EXPECT_EQ(Muster("submit job.yaml --set model.from=job:first@40").code, 0);
  EXPECT_EQ(jobs_.requests.back().spec().model().from(), "job:abc00001@40");
  jobs_.requests.pop_back();
  const Result wrong = Muster("submit job.yaml --set model.from=job:first@last");
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("after @ comes the step of a checkpoint"));
  for (const auto& request : jobs_.requests) EXPECT_EQ(request.spec().model().from(), "job:abc00001");
}

TEST_F(CliTest, ANewQueueIsNoted) {
  Write("job.yaml", kJobFile);
  EXPECT_EQ(Muster("submit job.yaml").err, "");
  EXPECT_EQ(Muster("submit job.yaml --set resources.queue=research").err, "");
  const Result result = Muster("submit job.yaml --set resources.queue=reserch");
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.err, "note: queue \"reserch\" is new: no other job is in it. There are: default, research. Did you mean "
                        "\"research\"?\n");
}

TEST_F(CliTest, NotesOfTheServerGoToStandardError) {
  Write("job.yaml", kJobFile);
  const Result result = Muster("submit job.yaml --output json --set data.train=mined");
  EXPECT_EQ(result.err, "note: hard negatives are not used\nnote: two\n");
  EXPECT_EQ(nlohmann::json::parse(result.out).at("id"), "j1");
}

TEST_F(CliTest, NothingIsReadAndIgnored) {
  jobs_.job.set_id("j1");
  jobs_.job.mutable_spec()->mutable_resources()->mutable_slots()->set_max(2);
  jobs_.job.add_attempts()->set_number(1);
  jobs_.job.mutable_attempts(0)->add_ranks();
  jobs_.job.mutable_attempts(0)->add_ranks();
  Result result = Muster("logs j1 --rank 5");
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.err, "logs: job j1 has no rank 5. It has 2 ranks, from 0 to 1.\n");
  EXPECT_EQ(Muster("logs j1 --attempt 2").err, "logs: job j1 has no attempt 2. It has had 1.\n");
  EXPECT_EQ(Muster("logs j1 --rank 1 --attempt 1").code, 0);
  for (const char* command : {"backup list typo", "backup verify typo", "restore typo --data d"}) {
    result = Muster(command);
    EXPECT_EQ(result.code, 2) << command;
    EXPECT_THAT(result.err, HasSubstr("typo does not exist. Name the folder that muster backup take wrote to."));
  }
  Write("folder/x", "");
  EXPECT_THAT(Muster("backup list folder").err, HasSubstr("folder is not a folder of backups"));
  EXPECT_TRUE(nlohmann::json::parse(Muster("version --output json").out).contains("version"));
  EXPECT_EQ(Muster("submit x.yaml --timeout 3").code, 2);
  EXPECT_EQ(Muster("get j1 --metrics csv --output json").code, 2);
}

TEST_F(CliTest, MissingFilesAreWrongUsage) {
  Write(".config/muster/config.yaml", "address: " + address_ + "\n");
  Write("job.yaml", kJobFile);
  ASSERT_EQ(Muster("certs init ca").code, 0);
  for (const char* command : {"jobs --certs ca --token-file nosuch", "jobs --certs nosuch", "submit nosuch", "certs show nosuch",
                              "certs issue nosuch --role viewer --name a --out b", "tokens list --file nosuch",
                              "tokens revoke --file nosuch --user a", "data import n nosuch", "models push n nosuch"}) {
    const Result result = Muster(command);
    EXPECT_EQ(result.code, 2) << command << ": " << result.err;
    EXPECT_THAT(result.err, HasSubstr("nosuch")) << command;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

TEST_F(CliTest, AWrongAuthorityIsNamedInOneLine) {
  ASSERT_EQ(Muster("certs init ca").code, 0);
  ASSERT_EQ(Muster("certs init other").code, 0);
  ASSERT_EQ(Muster("certs issue ca --role coordinator --name c --out server").code, 0);
  ASSERT_EQ(Muster("certs issue other --role viewer --name ada --out ada").code, 0);
  auto secure = RpcServer::Start(
      {.address = "127.0.0.1:0", .security = {.certificates = folder_ / "server"}, .services = {&jobs_, &cluster_}});
  ASSERT_TRUE(secure.ok()) << secure.status();
  const std::string address = absl::StrCat("127.0.0.1:", (*secure)->port());
  Write(".config/muster/config.yaml", absl::StrCat("address: ", address, "\ncerts: ~/ada\n"));
  for (const char* command : {"jobs", "watch j1", "get j1"}) {
    const Result result = Muster(command);
    EXPECT_EQ(result.code, 5) << command;
    EXPECT_THAT(result.err, HasSubstr("the server's certificate is not signed by " + (folder_ / "ada/ca.pem").string()));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
  EXPECT_THAT(Muster("jobs --insecure").err, HasSubstr("the server uses TLS"));
  ASSERT_EQ(Muster("certs issue other --role viewer --name eve --out eve").code, 0);
  Write("eve/ca.pem", *ReadFile(folder_ / "ca/ca.pem"));
  EXPECT_THAT(Muster("jobs --certs eve").err, HasSubstr("the server refuses the certificate in eve"));
}

TEST_F(CliTest, AJobThatEndedWithoutAModelSaysWhatToDo) {
  jobs_.job.set_id("j1");
  jobs_.job.set_phase(muster::v1::JOB_PHASE_CANCELLED);
  EXPECT_EQ(Muster("export j1 m").err, "export: job j1 has no model: it was cancelled. Submit it again.\n");
  jobs_.job.set_phase(muster::v1::JOB_PHASE_PAUSED);
  EXPECT_THAT(Muster("export j1 m").err, HasSubstr("muster resume j1"));
}

TEST_F(CliTest, EndsOfJobsAreExitCodes) {
  Write("job.yaml", kJobFile);
  jobs_.last_phase = muster::v1::JOB_PHASE_FAILED;
  EXPECT_EQ(Muster("submit job.yaml --wait").code, 1);
  jobs_.last_phase = muster::v1::JOB_PHASE_CANCELLED;
  EXPECT_EQ(Muster("watch j1").code, 3);
}

TEST_F(CliTest, EvalSubmitsAJobThatTrainsNothing) {
  const Result result = Muster("eval minilm scifact --split dev");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("job j1 (eval-minilm-scifact)\n"));
  ASSERT_EQ(jobs_.requests.size(), 1);
  const auto& spec = jobs_.requests[0].spec();
  EXPECT_EQ(spec.name(), "eval-minilm-scifact");
  EXPECT_EQ(spec.duration().length_case(), muster::v1::DurationSpec::kSteps);
  EXPECT_EQ(spec.report().split(), "dev");
}

TEST_F(CliTest, MineSubmitsAJobThatTrainsNothingAndNamesTheNextStep) {
  const Result result = Muster(
      "mine scifact --model minilm --out scifact-mined --ranks 10-50 --per-query 8 --absolute-margin 0 --relative-margin 0.9 "
      "--sampling random --seed 3 --set resources.slots.min=2");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("job j1 (mine-minilm-scifact)\n"));
  EXPECT_THAT(result.out, HasSubstr("muster data report scifact-mined\n"));
  ASSERT_EQ(jobs_.requests.size(), 1);
  const auto& spec = jobs_.requests[0].spec();
  EXPECT_EQ(spec.duration().length_case(), muster::v1::DurationSpec::kSteps);
  EXPECT_EQ(spec.mine().dataset(), "scifact");
  EXPECT_EQ(spec.mine().out(), "scifact-mined");
  EXPECT_EQ(spec.mine().ranks().first(), 10);
  EXPECT_EQ(spec.mine().ranks().last(), 50);
  EXPECT_EQ(spec.mine().per_query(), 8);
  EXPECT_TRUE(spec.mine().has_absolute_margin());
  EXPECT_EQ(spec.mine().relative_margin(), 0.9);
  EXPECT_EQ(spec.mine().sampling(), muster::v1::SAMPLING_RANDOM);
  EXPECT_EQ(spec.seed(), 3);
  EXPECT_EQ(spec.resources().slots().min(), 2);
  EXPECT_EQ(Muster("mine scifact --model minilm --out m --ranks 7").code, 0);
  EXPECT_EQ(jobs_.requests[1].spec().mine().ranks().first(), 1);
  EXPECT_EQ(jobs_.requests[1].spec().mine().ranks().last(), 7);
  for (const char* wrong : {"ten", "10-", "1-2-3", "-5"}) {
    const Result refused = Muster(absl::StrCat("mine scifact --model minilm --out m --ranks=", wrong));
    EXPECT_EQ(refused.code, 2);
    EXPECT_EQ(refused.err, absl::StrCat("mine: --ranks: \"", wrong, "\" is not a range of ranks. Write the first and the last "
                                        "one: --ranks 10-100.\n"));
  }
  EXPECT_EQ(jobs_.requests.size(), 2u);
}

TEST_F(CliTest, EvalOfSeveralDatasetsIsOneTable) {
  const Result result = Muster("eval minilm scifact msmarco/dev");
  EXPECT_EQ(result.code, 0) << result.err;
  ASSERT_EQ(jobs_.requests.size(), 2);
  EXPECT_EQ(jobs_.requests[0].spec().report().split(), "test");
  EXPECT_EQ(jobs_.requests[1].spec().report().dataset(), "msmarco");
  EXPECT_EQ(jobs_.requests[1].spec().report().split(), "dev");
  EXPECT_NE(jobs_.requests[0].request_id(), jobs_.requests[1].request_id());
  EXPECT_THAT(result.out, HasSubstr("\nDATASET      QUERIES  DOCUMENTS  ndcg@10  mrr     JOB\n"));
  EXPECT_THAT(result.out, HasSubstr("\nmean                             0.7500   0.5000\n"));
  jobs_.job.clear_evaluations();
  auto json = nlohmann::json::parse(Muster("eval minilm scifact msmarco/dev --request-id r --output json").out);
  EXPECT_EQ(json["evaluations"].size(), 2u);
  EXPECT_EQ(json["evaluations"][1]["metrics"]["ndcg@10"], 0.75);
  EXPECT_EQ(json["means"]["mrr"], 0.5);
  EXPECT_EQ(jobs_.requests[3].request_id(), "r-msmarco/dev") << "repeating the command returns the same jobs";
  const Result twice = Muster("eval minilm scifact scifact");
  EXPECT_EQ(twice.code, 2);
  EXPECT_THAT(twice.err, HasSubstr("eval: scifact is given twice."));
}

}  // namespace
}  // namespace muster
