#include "coordinator/core/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(AddCheckpoint, KeepsTheNewest) {
  muster::v1::Job job;
  EXPECT_THAT(AddCheckpoint(Checkpoint(20, "a"), 2, job), IsEmpty());
  EXPECT_THAT(AddCheckpoint(Checkpoint(40, "b"), 2, job), IsEmpty());
  EXPECT_THAT(AddCheckpoint(Checkpoint(60, "c"), 2, job), ElementsAre("a"));
  EXPECT_EQ(job.checkpoints(0).step(), 40);
  EXPECT_EQ(job.checkpoints(1).step(), 60);
}

TEST(AddCheckpoint, ReplacesOneOfTheSameStep) {
  muster::v1::Job job;
  AddCheckpoint(Checkpoint(20, "a"), 2, job);
  EXPECT_THAT(AddCheckpoint(Checkpoint(20, "a2"), 2, job), ElementsAre("a"));
  EXPECT_EQ(job.checkpoints_size(), 1);
}

TEST(AddCheckpoint, KeepsOneEvenWhenAskedForNone) {
  muster::v1::Job job;
  EXPECT_THAT(AddCheckpoint(Checkpoint(20, "a"), 0, job), IsEmpty());
  EXPECT_EQ(job.checkpoints_size(), 1);
}

TEST(AddCheckpoint, NeverDropsTheExport) {
  muster::v1::Job job;
  job.set_export_manifest("a");
  AddCheckpoint(Checkpoint(20, "a"), 1, job);
  EXPECT_THAT(AddCheckpoint(Checkpoint(40, "b"), 1, job), IsEmpty());
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
