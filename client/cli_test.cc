// The muster program against an in-memory cluster: output, exit codes, and requests.
#include <nlohmann/json.hpp>

#include "client/testing/cli_fixture.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(CliTest, SubmitPrintsTheIdAndSendsARequestId) {
  Write("job.yaml", kJobFile);
  const Result result = Muster("submit job.yaml --set duration.steps=5 --output json");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out), nlohmann::json({{"id", "j1"}}));
  Muster("submit job.yaml --request-id mine");
  ASSERT_EQ(jobs_.requests.size(), 2);
  EXPECT_EQ(jobs_.requests[0].spec().duration().steps(), 5);
  EXPECT_EQ(jobs_.requests[0].request_id().size(), 36);
  EXPECT_EQ(jobs_.requests[1].request_id(), "mine");
}

TEST_F(CliTest, ADryRunShowsWhatWouldHappenAndSubmitsNothing) {
  Write("job.yaml", kJobFile);
  const Result result = Muster("submit job.yaml --dry-run");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out,
            "name             x\n"
            "model            minilm\n"
            "train            t/train, 809 queries\n"
            "steps            78, 26 per epoch, of 32 queries\n"
            "per step         192 sequences, 23,412 tokens; at most 31,204 tokens (16 sampled steps of 78)\n"
            "loss per query   1.1 positives, 158.5 negatives, 0.0 ignored\n"
            "truncated        25.0 % of the sequences, at 64 tokens per query and 256 per passage\n"
            "memory per rank  about 5.0 GB, of which up to 4.3 GB are batch.keep_activations\n"
            "time             about 12:30\n"
            "note: time: as job a ran\n"
            "nothing was submitted\n");
  const auto json = nlohmann::json::parse(Muster("submit job.yaml --dry-run --output json").out);
  EXPECT_EQ(json["preview"]["total_steps"], "78");
  EXPECT_EQ(json["job"]["id"], "");
  ASSERT_EQ(jobs_.requests.size(), 2);
  EXPECT_TRUE(jobs_.requests[0].dry_run());
}

TEST_F(CliTest, ADryRunShowsAllTrainingSets) {
  Write("job.yaml", "name: x\nmodel: {from: minilm}\nduration: {steps: 3}\n"
                    "data: {sets: [{dataset: t}, {dataset: u, split: dev, weight: 0.5}]}\n");
  const Result result = Muster("submit job.yaml --dry-run");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("\ntrain            t/train, u/dev x 0.5, 809 queries\n"));
}

// Such a coordinator would take the request for a submission, so the request must be one that it refuses.
TEST_F(CliTest, ADryRunIsRefusedByACoordinatorThatDoesNotKnowIt) {
  Write("job.yaml", kJobFile);
  jobs_.knows_dry_runs = false;
  const Result result = Muster("submit job.yaml --dry-run");
  EXPECT_EQ(result.err, "submit: --dry-run: the coordinator is too old. Upgrade it.\n");
  EXPECT_NE(result.code, 0);
  ASSERT_EQ(jobs_.requests.size(), 1);
  EXPECT_GT(jobs_.requests[0].request_id().size(), 128) << "older coordinators keep no longer id";
}

TEST_F(CliTest, InitWritesAJobFileThatSubmitReads) {
  Write("args.yaml", "{grad_cache: true, model_name_or_path: a/MiniLM, dataset_name: t, deepspeed: zero3, num_train_epochs: 2}");
  Result result = Muster("init made.yaml --from args.yaml");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("wrote made.yaml. Look at it, then: muster submit made.yaml --dry-run"));
  EXPECT_EQ(result.err, "5 arguments of tevatron: 3 translated, 1 without effect, 1 not translated\n"
                        "note: read the end of the job file\n");
  EXPECT_EQ(Muster("submit made.yaml").code, 0);
  ASSERT_EQ(jobs_.requests.size(), 1);
  EXPECT_EQ(jobs_.requests[0].spec().profile(), "tevatron");
  EXPECT_EQ(jobs_.requests[0].spec().model().from(), "minilm");
  result = Muster("init made.yaml");
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.err, "init: made.yaml exists. Name another file.\n");
  Write("smallest.yaml", Muster("init").out);
  EXPECT_EQ(Muster("submit smallest.yaml --set data.train=t").code, 0);
  EXPECT_EQ(Muster("init named.yaml --model job:abc00001 --data scifact").code, 0);
  EXPECT_EQ(Muster("submit named.yaml").code, 0);
  EXPECT_EQ(jobs_.requests.back().spec().name(), "scifact-job-abc00001");
  EXPECT_EQ(jobs_.requests.back().spec().data().train(), "scifact");
  EXPECT_EQ(jobs_.requests.back().spec().report().dataset(), "scifact");
  EXPECT_EQ(Muster("init --model m --from args.yaml").code, 2);
  EXPECT_EQ(Muster("init --from none.yaml").code, 2);
  EXPECT_THAT(Muster("init --from smallest.yaml").err, HasSubstr("Name it with --tool. Allowed: sentence-transformers"));
}

TEST_F(CliTest, ErrorsAreOneLineWithTheirExitCode) {
  Write("job.yaml", kJobFile);
  Result result = Muster("submit job.yaml --set data.train=unknown");
  EXPECT_EQ(result.code, 6);
  EXPECT_EQ(result.err, "submit: data.train: no dataset \"unknown\". There is: t.\n");
  result = Muster("submit job.yaml --set loss.objective=lse_pair");
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("Did you mean \"lsepair\"?\n"));
  EXPECT_EQ(Muster("submit none.yaml").code, 2);
  EXPECT_EQ(Muster("jobs --no-such-flag").code, 2);
  EXPECT_EQ(Muster("workers").code, 1) << "the fake does not implement it";
  EXPECT_EQ(Muster("jobs --address 127.0.0.1:1").code, 5);
}

TEST_F(CliTest, ListsAllPages) {
  const auto json = nlohmann::json::parse(Muster("jobs --output json").out);
  ASSERT_EQ(json["jobs"].size(), 2);
  EXPECT_EQ(json["jobs"][1]["id"], "j1");
  EXPECT_THAT(Muster("jobs").out, HasSubstr("j2"));
  EXPECT_EQ(nlohmann::json::parse(Muster("jobs --limit 1 --output json").out)["jobs"].size(), 1);
  EXPECT_THAT(Muster("jobs --limit 1").err, HasSubstr("There are more jobs"));
  EXPECT_THAT(Muster("jobs --phase over").err, HasSubstr("unknown phase \"over\". Allowed: queued, "));
  EXPECT_THAT(Muster("job rm j1").err, HasSubstr("Confirm with --yes"));
  EXPECT_EQ(Muster("job rm j1 --yes").out, "removed job j1\n");
  const auto point = nlohmann::json::parse(Muster("metrics j1 --output json").out);
  EXPECT_EQ(point["loss"], 0.25);
  EXPECT_THAT(Muster("metrics j1").out, HasSubstr("0.25000"));
}

TEST_F(CliTest, LogsAndCancel) {
  EXPECT_EQ(Muster("logs j1").out, "1/0 one\n1/0 two\n");
  EXPECT_EQ(Muster("logs j1 --rank 0").out, "one\ntwo\n");
  EXPECT_EQ(Muster("cancel j1").out, "job j1 cancelled\n");
}

TEST_F(CliTest, ImportsAFolderInOrder) {
  Write("set/corpus.jsonl", "c");
  Write("set/queries.jsonl", std::string(3 << 20, 'q'));
  Write("set/qrels/train.tsv", "");
  Write("set/README.md", "r");
  const Result result = Muster("data import s set --skip-bad 3 --source llm");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(data_.order, ElementsAre("corpus.jsonl", "queries.jsonl", "qrels/train.tsv"));
  EXPECT_EQ(data_.files["queries.jsonl"].size(), 3 << 20);
  EXPECT_EQ(data_.header.skip_bad(), 3);
  EXPECT_EQ(data_.header.source(), "llm");
  EXPECT_EQ(data_.header.total_bytes(), (3 << 20) + 1);
  EXPECT_THAT(result.out, HasSubstr("left out, because no schema knows them: README.md"));
  EXPECT_THAT(result.out, HasSubstr("note: a note"));
  EXPECT_THAT(result.out, HasSubstr("imported s in "));
}

TEST_F(CliTest, ABadRecordEndsAnImportInOneLine) {
  Write("set/corpus.jsonl", "bad");
  Write("set/queries.jsonl", std::string(8 << 20, 'q'));
  const Result result = Muster("data import s set");
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.err, "corpus.jsonl:1: is not JSON. Fix the line, or import with --skip-bad 1.\n");
}

TEST_F(CliTest, PushesAVocabulary) {
  Write("v/vocab.txt", "[PAD]\n[UNK]\n");
  const Result result = Muster("models push small v");
  EXPECT_EQ(result.code, 0) << result.err;
  ASSERT_EQ(models_.pushed.files().files_size(), 1);
  EXPECT_EQ(blobs_.blobs.at(models_.pushed.files().files(0).digest()), "[PAD]\n[UNK]\n");
  EXPECT_FALSE(models_.pushed.request_id().empty());
  EXPECT_THAT(result.out, HasSubstr("pushed small: a vocabulary of 2"));
}

TEST_F(CliTest, APushAndShowSayWhatJobsUseOfAModel) {
  Write("v/vocab.txt", "[PAD]\n[UNK]\n");
  models_.model.set_architecture("bert");
  models_.model.set_pooling(muster::v1::POOLING_CLS);
  models_.model.set_normalize(true);
  models_.model.set_max_length(32);
  models_.model.set_embedding_size(384);
  models_.model.mutable_prompts()->set_query("query: ");
  models_.model.add_notes("modules.json is missing: mean pooling is assumed.");
  for (const char* command : {"models push small v", "models show small"}) {
    const Result result = Muster(command);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("pooling cls, normalized, embeddings of 384 numbers, at most 32 tokens"));
    EXPECT_THAT(result.out, HasSubstr("note: modules.json is missing: mean pooling is assumed.\n"));
  }
  EXPECT_THAT(Muster("models show small").out, HasSubstr("query prompt     \"query: \"\n"));
  EXPECT_THAT(Muster("models show small --output json").out, HasSubstr("\"notes\""));
}

TEST_F(CliTest, ExportsOnceAndNeverOverwrites) {
  muster::v1::FileManifest manifest;
  for (const auto& [path, bytes] : {std::pair("1_Pooling/config.json", "{}"), std::pair("model.safetensors", "w")}) {
    auto& file = *manifest.add_files();
    file.set_path(path);
    file.set_digest(blobs_.Add(bytes));
    file.set_size(1);
  }
  jobs_.job.set_id("j1");
  EXPECT_EQ(Muster("export j1 model").code, 6) << "no model yet";
  jobs_.job.set_export_manifest(blobs_.Add(manifest.SerializeAsString()));
  Result result = Muster("export j1 some/model/");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("exported job j1 to "));
  EXPECT_EQ(*ReadFile(folder_ / "some/model/1_Pooling/config.json"), "{}");
  result = Muster("export j1 some/model");
  EXPECT_EQ(result.code, 6);
  EXPECT_THAT(result.err, HasSubstr("some/model exists and is not empty"));
  blobs_.blobs.erase(manifest.files(1).digest());
  EXPECT_EQ(Muster("export j1 other").code, 6);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "other"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ / "some"), {}), 1) << "nothing is left aside";
}

TEST_F(CliTest, ExportsACheckpointThroughASeparateJob) {
  muster::v1::FileManifest manifest;
  auto& file = *manifest.add_files();
  file.set_path("model.safetensors");
  file.set_digest(blobs_.Add("w"));
  file.set_size(1);
  jobs_.job.set_id("j1");
  jobs_.job.mutable_spec()->set_name("first");
  jobs_.job.set_export_manifest(blobs_.Add(manifest.SerializeAsString()));
  const Result result = Muster("export j1 model --step 40 --set resources.queue=exports");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("exported job j1, step 40, to "));
  EXPECT_EQ(*ReadFile(folder_ / "model/model.safetensors"), "w");
  ASSERT_EQ(jobs_.requests.size(), 1);
  const muster::v1::JobSpec& spec = jobs_.requests[0].spec();
  EXPECT_EQ(spec.name(), "export-first-step-40");
  EXPECT_EQ(spec.model().from(), "job:j1@40");
  EXPECT_TRUE(spec.duration().has_steps());
  EXPECT_EQ(spec.duration().steps(), 0u);
  EXPECT_FALSE(spec.has_report());
  EXPECT_EQ(spec.resources().queue(), "exports");
  EXPECT_NE(jobs_.requests[0].request_id(), "");
  jobs_.last_phase = muster::v1::JOB_PHASE_FAILED;
  const Result failed = Muster("export j1 other --step 40");
  EXPECT_EQ(failed.code, 6);
  EXPECT_THAT(failed.err, HasSubstr("job j1, which was to make a model of step 40, is failed"));
  EXPECT_EQ(Muster("export j1 other --set resources.queue=exports").code, 2) << "works only with --step";
}

TEST_F(CliTest, WritesATraceOnceAndSaysWhyThereIsNone) {
  jobs_.job.set_id("j1");
  Result result = Muster("trace j1 t.json");
  EXPECT_EQ(result.code, 6);
  EXPECT_THAT(result.err, HasSubstr("Submit it with --profile STEPS."));
  jobs_.job.mutable_spec()->set_trace_steps(4);
  EXPECT_THAT(Muster("trace j1 t.json").err, HasSubstr("after step 6 of an attempt"));
  muster::v1::FileManifest manifest;
  auto& file = *manifest.add_files();
  file.set_path("trace.json");
  file.set_digest(blobs_.Add("{\"traceEvents\": []}"));
  file.set_size(19);
  jobs_.job.set_trace_manifest(blobs_.Add(manifest.SerializeAsString()));
  result = Muster("trace j1 t.json --output json");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("\"bytes\""));
  EXPECT_EQ(*ReadFile(folder_ / "t.json"), "{\"traceEvents\": []}");
  result = Muster("trace j1 t.json");
  EXPECT_EQ(result.code, 6);
  EXPECT_THAT(result.err, HasSubstr("t.json exists. Name a new file."));
}

TEST_F(CliTest, ListsShowsAndCancelsOperations) {
  muster::v1::Operation import;
  import.set_id("import-aaaa");
  import.set_kind(muster::v1::OPERATION_KIND_IMPORT);
  import.set_subject("faq");
  import.set_owner("ada");
  import.set_phase(muster::v1::OPERATION_PHASE_RUNNING);
  import.set_reason("reading");
  import.set_done(0.62);
  import.set_bytes(62);
  import.set_total_bytes(100);
  import.mutable_started()->set_seconds(100);
  muster::v1::Operation collection;
  collection.set_id("collection-bbbb");
  collection.set_kind(muster::v1::OPERATION_KIND_GARBAGE_COLLECTION);
  collection.set_phase(muster::v1::OPERATION_PHASE_FAILED);
  collection.set_reason("a backup runs");
  collection.mutable_started()->set_seconds(200);
  operations_.operations = {import, collection};
  const Result list = Muster("operations");
  EXPECT_EQ(list.code, 0) << list.err;
  EXPECT_LT(list.out.find("collection-bbbb"), list.out.find("import-aaaa")) << "newest first:\n" << list.out;
  EXPECT_THAT(list.out, HasSubstr("62 %"));
  EXPECT_THAT(list.out, HasSubstr("a backup runs"));
  const auto active = nlohmann::json::parse(Muster("operations --active --output json").out);
  ASSERT_EQ(active["operations"].size(), 1) << "each server's own, and here both are one";
  EXPECT_EQ(active["operations"][0]["subject"], "faq");
  EXPECT_THAT(Muster("operation get import-aaaa").out, HasSubstr("reading"));
  const Result none = Muster("operation get import-cccc");
  EXPECT_EQ(none.code, 6);
  EXPECT_THAT(none.err, HasSubstr("See muster operations."));
  const Result canceled = Muster("operation cancel import-aaaa --request-id r1");
  EXPECT_EQ(canceled.code, 0) << canceled.err;
  EXPECT_THAT(canceled.out, HasSubstr("operation import-aaaa canceled: canceled by ada"));
  ASSERT_EQ(operations_.canceled.size(), 1);
  EXPECT_EQ(operations_.canceled[0].request_id(), "r1");
}

TEST_F(CliTest, ShowsTheWorkerOfEachRank) {
  jobs_.job.set_id("j1");
  auto& attempt = *jobs_.job.add_attempts();
  attempt.set_number(1);
  for (const auto& [rank, worker] : {std::pair(0, "w1"), std::pair(1, "w1"), std::pair(2, "w2")}) {
    auto& placed = *attempt.add_ranks();
    placed.set_rank(static_cast<uint32_t>(rank));
    placed.set_worker(worker);
  }
  EXPECT_THAT(Muster("get j1").out, HasSubstr("w1: ranks 0, 1; w2: rank 2\n"));
}

TEST_F(CliTest, PrintsTheStepLogOfTheNewestCheckpoint) {
  jobs_.job.set_id("j1");
  jobs_.job.mutable_spec()->mutable_checkpoint()->set_every_steps(10);
  Result result = Muster("get j1 --metrics csv");
  EXPECT_EQ(result.code, 6);
  EXPECT_THAT(result.err, HasSubstr("job j1 has no checkpoint"));
  EXPECT_THAT(result.err, HasSubstr("its first checkpoint is that of step 10"));
  for (const uint64_t step : {1, 2}) {
    muster::v1::FileManifest manifest;
    auto& file = *manifest.add_files();
    file.set_path("steps.csv");
    file.set_digest(blobs_.Add(absl::StrCat("step,loss\n", step, ",0.5\n")));
    auto& checkpoint = *jobs_.job.add_checkpoints();  // ascending
    checkpoint.set_step(step);
    checkpoint.set_manifest(blobs_.Add(manifest.SerializeAsString()));
  }
  result = Muster("get j1 --metrics csv");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "step,loss\n2,0.5\n");
  EXPECT_EQ(Muster("get j1 --metrics xml").code, 2);
  blobs_.blobs.erase(jobs_.job.checkpoints(1).manifest());
  EXPECT_EQ(Muster("get j1 --metrics csv").code, 6) << "not the older one's, as if it were the newest";
}

TEST_F(CliTest, PrintsTheStepLogOfAJobWhoseCheckpointsWereRemoved) {
  jobs_.job.set_id("j1");
  jobs_.job.set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
  muster::v1::FileManifest manifest;
  auto& file = *manifest.add_files();
  file.set_path("steps.csv");
  file.set_digest(blobs_.Add("step,loss\n1,0.5\n"));
  jobs_.job.set_step_log_manifest(blobs_.Add(manifest.SerializeAsString()));
  const Result result = Muster("get j1 --metrics csv");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "step,loss\n1,0.5\n");
}

TEST_F(CliTest, IssuesCertificates) {
  EXPECT_EQ(Muster("certs init ca").code, 0);
  EXPECT_EQ(Muster("certs issue ca --role user --name ada --out ada --host localhost --host 10.0.0.1").code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "ada/key.pem"));
  EXPECT_EQ(Muster("certs issue ca --role king --name ada --out x").code, 2);
  EXPECT_EQ(Muster("certs issue none --role user --name ada --out x").code, 2);
  EXPECT_THAT(Muster("version").out, StartsWith("muster "));
}

TEST_F(CliTest, ShowsAndRenewsCertificatesAndReplacesTheAuthority) {
  ASSERT_EQ(Muster("certs init ca").code, 0);
  ASSERT_EQ(Muster("certs init next").code, 0);
  ASSERT_EQ(Muster("certs issue ca --role worker --name 'gpu-*' --out gpu --host gpu.example --days 20").code, 0);
  const Result before = Muster("certs show gpu");
  EXPECT_EQ(before.code, 0);
  EXPECT_THAT(before.out, HasSubstr("gpu-*"));
  EXPECT_THAT(before.out, HasSubstr("worker"));
  EXPECT_THAT(before.out, HasSubstr("ends in 19 days: muster certs renew"));
  const std::string key = *ReadFile(folder_ / "gpu/key.pem"), trusted = *ReadFile(folder_ / "gpu/ca.pem");
  EXPECT_EQ(Muster("certs bundle gpu ca next").code, 0);
  EXPECT_EQ(Muster("certs renew next gpu --keep-bundle").code, 0);
  const Result renewed = Muster("certs show gpu --output json");
  EXPECT_EQ(renewed.code, 0) << renewed.out;
  const auto shown = nlohmann::json::parse(renewed.out)["certificates"];
  ASSERT_EQ(shown.size(), 3u) << "its own, and two authorities";
  EXPECT_EQ(shown[0]["who"], "gpu-*");
  EXPECT_EQ(shown[0]["state"], "valid");
  EXPECT_NE(*ReadFile(folder_ / "gpu/key.pem"), key);
  EXPECT_EQ(Muster("certs bundle gpu ca").code, 0);
  EXPECT_EQ(Muster("certs show gpu").code, 1) << "not issued by the authority that it trusts";
  EXPECT_EQ(Muster("certs renew ca gpu").code, 0);
  EXPECT_EQ(*ReadFile(folder_ / "gpu/ca.pem"), trusted);
  EXPECT_EQ(Muster("certs show gpu").code, 0);
  EXPECT_EQ(Muster("certs show nothing").code, 2);
}

TEST_F(CliTest, TokensAreShownOnceAndKeptAsHashes) {
  const Result issued = Muster("tokens issue --file tokens.yaml --user ana --role submitter");
  EXPECT_EQ(issued.code, 0) << issued.err;
  EXPECT_THAT(issued.out, StartsWith("mst_"));
  EXPECT_EQ(Muster("tokens issue --file tokens.yaml --user bob --role viewer --out bob.token").out, "");
  EXPECT_THAT(*ReadFile(folder_ / "bob.token"), StartsWith("mst_"));
  const std::string file = *ReadFile(folder_ / "tokens.yaml");
  EXPECT_THAT(file, Not(HasSubstr("mst_")));
  EXPECT_THAT(file, HasSubstr(Sha256Hex(issued.out.substr(0, issued.out.size() - 1))));
  const auto listed = nlohmann::json::parse(Muster("tokens list --file tokens.yaml --output json").out)["tokens"];
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0]["user"], "ana");
  EXPECT_EQ(listed[0]["state"], "valid");
  EXPECT_EQ(Muster("tokens revoke --file tokens.yaml --user ana").code, 0);
  EXPECT_EQ(Muster("tokens revoke --file tokens.yaml --user ana").code, 6);
  EXPECT_EQ(Muster("tokens revoke --file tokens.yaml --id " + listed[1]["id"].get<std::string>()).code, 0);
  EXPECT_EQ(nlohmann::json::parse(Muster("tokens list --file tokens.yaml --output json").out)["tokens"].size(), 0u);
  EXPECT_EQ(Muster("tokens issue --file tokens.yaml --user ana --role coordinator").code, 2);
  EXPECT_EQ(Muster("tokens revoke --file tokens.yaml").code, 2);
}

TEST_F(CliTest, AnImportSendsTheSplitOfEachFileAndWhetherToReplace) {
  Write("x.jsonl", "1");
  Write("y.jsonl", "2");
  EXPECT_EQ(Muster("data import s --split fit=x.jsonl --split test=y.jsonl --replace").code, 0);
  EXPECT_EQ(data_.splits, (std::map<std::string, std::string>{{"x.jsonl", "fit"}, {"y.jsonl", "test"}}));
  EXPECT_EQ(data_.header.split(), "");
  EXPECT_TRUE(data_.header.replace());
  EXPECT_EQ(Muster("data import s --split dev x.jsonl --schema flagembedding").code, 0);
  EXPECT_EQ(data_.header.split(), "dev");
  EXPECT_EQ(data_.header.schema(), "flagembedding");
  EXPECT_FALSE(data_.header.replace());
  data_.header.Clear();
  Write("test.jsonl", "3");
  const Result guess = Muster("data import s x.jsonl test.jsonl");
  EXPECT_EQ(guess.code, 2);
  EXPECT_THAT(guess.err, HasSubstr("test.jsonl is named after split test, and x.jsonl after none."));
  EXPECT_EQ(data_.header.name(), "") << "nothing was sent";
  EXPECT_EQ(Muster("data import s").code, 2);
}

TEST_F(CliTest, APushSaysWhetherToReplaceAndErrorsNameItOnce) {
  Write("v/vocab.txt", "[PAD]\n[UNK]\n");
  ASSERT_EQ(Muster("models push small v").code, 0);
  EXPECT_FALSE(models_.pushed.replace());
  ASSERT_EQ(Muster("models push small v --replace").code, 0);
  EXPECT_TRUE(models_.pushed.replace());
  models_.error = {grpc::StatusCode::INVALID_ARGUMENT, "models push: no model"};
  EXPECT_EQ(Muster("models push small v").err, "models push: no model\n");
}

TEST_F(CliTest, NothingOfAnotherHolderIsOverwritten) {
  ASSERT_EQ(Muster("certs init ca").code, 0);
  const std::string issue = "certs issue ca --role viewer --out x --name ";
  ASSERT_EQ(Muster(issue + "ada").code, 0);
  EXPECT_EQ(Muster(issue + "ada").code, 0) << "a new certificate of the same holder";
  const std::string key = *ReadFile(folder_ / "x/key.pem");
  const Result other = Muster(issue + "ben");
  EXPECT_EQ(other.code, 6);
  EXPECT_EQ(other.err,
            "certs issue: x has the certificate of viewer \"ada\" already. Choose another folder, or remove it.\n");
  EXPECT_EQ(*ReadFile(folder_ / "x/key.pem"), key);
  const std::string token = "tokens issue --file tokens.yaml --user ada --role viewer --out secret";
  ASSERT_EQ(Muster(token).code, 0);
  const std::string secret = *ReadFile(folder_ / "secret"), tokens = *ReadFile(folder_ / "tokens.yaml");
  EXPECT_EQ(Muster(token).code, 6);
  EXPECT_EQ(*ReadFile(folder_ / "secret"), secret);
  EXPECT_EQ(*ReadFile(folder_ / "tokens.yaml"), tokens);
}

}  // namespace
}  // namespace muster
