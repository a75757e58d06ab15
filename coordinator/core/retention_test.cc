#include "coordinator/core/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/core/testing/roots.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

muster::v1::CheckpointInfo Checkpoint(uint64_t step, const std::string& manifest) {
  muster::v1::CheckpointInfo checkpoint;
  checkpoint.set_step(step);
  checkpoint.set_manifest(manifest);
  return checkpoint;
}

std::vector<uint64_t> StepsOf(const journal::v1::StoredJob& job) {
  std::vector<uint64_t> steps;
  for (const auto& checkpoint : job.checkpoints()) steps.push_back(checkpoint.step());
  return steps;
}

TEST(AddCheckpoint, KeepsTheNewest) {
  journal::v1::StoredJob job;
  EXPECT_THAT(AddCheckpoint(Checkpoint(20, "a"), 2, job), IsEmpty());
  EXPECT_THAT(AddCheckpoint(Checkpoint(40, "b"), 2, job), IsEmpty());
  EXPECT_THAT(AddCheckpoint(Checkpoint(60, "c"), 2, job), ElementsAre("a"));
  EXPECT_EQ(job.checkpoints(0).step(), 40);
  EXPECT_EQ(job.checkpoints(1).step(), 60);
}

TEST(AddCheckpoint, ReplacesOneOfTheSameStep) {
  journal::v1::StoredJob job;
  AddCheckpoint(Checkpoint(20, "a"), 2, job);
  EXPECT_THAT(AddCheckpoint(Checkpoint(20, "a2"), 2, job), ElementsAre("a"));
  EXPECT_EQ(job.checkpoints_size(), 1);
}

TEST(AddCheckpoint, KeepsOneEvenWhenAskedForNone) {
  journal::v1::StoredJob job;
  EXPECT_THAT(AddCheckpoint(Checkpoint(20, "a"), 0, job), IsEmpty());
  EXPECT_EQ(job.checkpoints_size(), 1);
}

TEST(Retention, FollowsTheLineageOfTheJob) {
  journal::v1::StoredJob job;
  for (const uint64_t step : {4000, 4900, 5000}) AddCheckpoint(Checkpoint(step, std::to_string(step)), 3, job);
  // An attempt continued from 4000 and did not report what is wrong with the later ones.
  EXPECT_THAT(AddCheckpoint(Checkpoint(4100, "n1"), 2, job), IsEmpty());
  EXPECT_THAT(StepsOf(job), ElementsAre(4000, 4100, 4900, 5000));
  EXPECT_THAT(AddCheckpoint(Checkpoint(4200, "n2"), 2, job), ElementsAre("4000"));
  EXPECT_THAT(AddCheckpoint(Checkpoint(4900, "n3"), 2, job), UnorderedElementsAre("n1", "4900"));
  EXPECT_THAT(StepsOf(job), ElementsAre(4200, 4900, 5000));
  EXPECT_THAT(AddCheckpoint(Checkpoint(5100, "n4"), 2, job), UnorderedElementsAre("n2", "n3"));
  EXPECT_THAT(StepsOf(job), ElementsAre(5000, 5100));
}

TEST(Retention, ARefusedCheckpointIsReferredToUntilItIsReleased) {
  State state;
  JobRecord record;
  record.mutable_job()->set_id("j");
  record.mutable_job()->set_phase(muster::v1::JOB_PHASE_FAILED);
  *record.add_refused()->mutable_checkpoint() = Checkpoint(20, "a");
  ASSERT_TRUE(Apply(RecordOf(record), state).ok());
  EXPECT_TRUE(IsReferenced(state, "a"));
  EXPECT_TRUE(RootsOf(state).manifests.contains("a"));
}

TEST(Retention, ATraceIsKeptAsLongAsItsJob) {
  State state;
  JobRecord record;
  record.mutable_job()->set_id("j");
  record.mutable_job()->set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
  record.mutable_job()->set_trace_manifest("t");
  ASSERT_TRUE(Apply(RecordOf(record), state).ok());
  EXPECT_TRUE(IsReferenced(state, "t"));
  EXPECT_TRUE(RootsOf(state).manifests.contains("t"));
  EXPECT_TRUE(HasManifest(state.jobs.at("j").job(), "t"));
  Record removed;
  removed.mutable_removed()->set_id("j");
  ASSERT_TRUE(Apply(removed, state).ok());
  EXPECT_FALSE(IsReferenced(state, "t"));
}

TEST(Retention, ManifestsOfSeveralJobsAreReadInPages) {
  State state;
  for (const char* id : {"j1", "j2", "j3"}) {
    JobRecord record;
    record.mutable_job()->set_id(id);
    record.mutable_job()->mutable_resolved()->set_model_manifest("model");
    record.mutable_job()->mutable_resolved()->set_tokenizer("vocabulary");
    *record.mutable_job()->add_checkpoints() = Checkpoint(20, std::string("of ") + id);
    ASSERT_TRUE(Apply(RecordOf(record), state).ok());
  }
  EXPECT_THAT(ReferencedManifests(state, "", 2), ElementsAre("model", "of j1"));
  EXPECT_THAT(ReferencedManifests(state, "of j1", 3), ElementsAre("of j2", "of j3"));
  EXPECT_THAT(ReferencedManifests(state, "of j3", 3), IsEmpty());
  EXPECT_THAT(ReferencedBlobs(state), ElementsAre("vocabulary"));
}

TEST(Retention, RootsThatAreReadInPartsAreAllRoots) {
  State state;
  for (const char* id : {"j1", "j2", "j3"}) {
    JobRecord record;
    journal::v1::StoredJob& job = *record.mutable_job();
    job.set_id(id);
    job.mutable_resolved()->set_model_manifest(std::string("model of ") + id);
    job.mutable_resolved()->set_tokenizer(std::string("vocabulary of ") + id);
    job.mutable_resolved()->set_train_dataset("data");
    job.mutable_resolved()->add_train_datasets("data");
    job.mutable_resolved()->add_train_datasets(std::string("set of ") + id);
    job.mutable_resolved()->set_report_dataset(std::string("report of ") + id);
    job.mutable_resolved()->set_mine_dataset(std::string("mined by ") + id);
    *job.add_checkpoints() = Checkpoint(20, std::string("checkpoint of ") + id);
    if (record.job().id() == "j3") {  // needs only what it made
      job.set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
      job.clear_checkpoints();
      job.set_export_manifest("export");
    }
    ASSERT_TRUE(Apply(RecordOf(record), state).ok());
  }
  for (const size_t most : {1, 2, 100}) {
    Roots roots;
    std::string after;
    do {
      after = AddRoots(state, after, most, roots);
    } while (!after.empty());
    EXPECT_THAT(roots.manifests,
                UnorderedElementsAre("model of j1", "model of j2", "checkpoint of j1", "checkpoint of j2", "export"));
    EXPECT_THAT(roots.blobs, UnorderedElementsAre("vocabulary of j1", "vocabulary of j2"));
    EXPECT_THAT(roots.datasets, UnorderedElementsAre("data", "set of j1", "set of j2", "report of j1", "report of j2",
                                                     "mined by j1", "mined by j2"));
  }
}

TEST(AddCheckpoint, NeverDropsTheExport) {
  journal::v1::StoredJob job;
  job.set_export_manifest("a");
  AddCheckpoint(Checkpoint(20, "a"), 1, job);
  EXPECT_THAT(AddCheckpoint(Checkpoint(40, "b"), 1, job), IsEmpty());
}

journal::v1::StoredJob Exported() {
  journal::v1::StoredJob job;
  AddCheckpoint(Checkpoint(20, "a"), 3, job);
  AddCheckpoint(Checkpoint(40, "b"), 3, job);
  job.set_export_manifest("export");
  job.set_step_log_manifest("log");
  return job;
}

TEST(DropCheckpoints, LeavesNoneOfAJobWhoseExportAndStepLogAreStored) {
  journal::v1::StoredJob job = Exported();
  EXPECT_THAT(DropCheckpoints(job), UnorderedElementsAre("a", "b"));
  EXPECT_THAT(job.checkpoints(), IsEmpty());
}

TEST(DropCheckpoints, LeavesThemWhereTheSpecificationSaysSo) {
  journal::v1::StoredJob job = Exported();
  job.mutable_spec()->mutable_checkpoint()->set_keep_after_success(true);
  EXPECT_THAT(DropCheckpoints(job), IsEmpty());
  EXPECT_EQ(job.checkpoints_size(), 2);
}

TEST(DropCheckpoints, LeavesThemWhereNothingElseHasTheStepLogOrTheWeights) {
  for (const auto& clear : {&journal::v1::StoredJob::clear_step_log_manifest, &journal::v1::StoredJob::clear_export_manifest}) {
    journal::v1::StoredJob job = Exported();
    (job.*clear)();
    EXPECT_THAT(DropCheckpoints(job), IsEmpty());
    EXPECT_EQ(job.checkpoints_size(), 2);
  }
}

TEST(Retention, TheStepLogIsKeptAsLongAsItsJob) {
  State state;
  JobRecord record;
  *record.mutable_job() = Exported();
  record.mutable_job()->set_id("a");
  record.mutable_job()->set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
  ASSERT_TRUE(Apply(RecordOf(record), state).ok());
  EXPECT_TRUE(IsReferenced(state, "log"));
  EXPECT_TRUE(RootsOf(state).manifests.contains("log"));
  EXPECT_TRUE(ManifestsOf(record).contains("log"));
}

TEST(Retention, ACheckpointThatAnotherJobsModelIsMadeOfStaysWhileThatJobNeedsIt) {
  State state;
  JobRecord record;
  journal::v1::StoredJob& job = *record.mutable_job();
  job.set_id("b");
  job.set_phase(muster::v1::JOB_PHASE_QUEUED);
  muster::v1::ModelCheckpoint& link = *job.mutable_resolved()->mutable_model_checkpoint();
  link.set_manifest("of a");
  link.mutable_base()->set_manifest("of the job before a");
  ASSERT_TRUE(Apply(RecordOf(record), state).ok());
  for (const char* manifest : {"of a", "of the job before a"}) {
    EXPECT_TRUE(IsReferenced(state, manifest));
    EXPECT_TRUE(RootsOf(state).manifests.contains(manifest));
  }
  job.set_phase(muster::v1::JOB_PHASE_SUCCEEDED);
  ASSERT_TRUE(Apply(RecordOf(record), state).ok());
  EXPECT_FALSE(RootsOf(state).manifests.contains("of a"));
  AddCheckpoint(Checkpoint(20, "own"), 3, job);
  ASSERT_TRUE(Apply(RecordOf(record), state).ok());
  EXPECT_TRUE(RootsOf(state).manifests.contains("of a")) << "job:b@20 is made of it, too";
}

TEST(BlobsToDelete, SparesWhatAKeptManifestShares) {
  muster::v1::FileManifest dropped, kept;
  for (const char* digest : {"weights1", "vocabulary", "config", "optimizer1"}) dropped.add_files()->set_digest(digest);
  for (const char* digest : {"weights2", "config"}) kept.add_files()->set_digest(digest);
  EXPECT_THAT(BlobsToDelete("manifest1", dropped, {kept}, {"vocabulary"}),
              UnorderedElementsAre("manifest1", "weights1", "optimizer1"));
}

}  // namespace
}  // namespace muster
