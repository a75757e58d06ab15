#include "coordinator/data/store/dataset_shelf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/files.h"
#include "common/status.h"
#include "coordinator/data/store/dataset_writer.h"
#include "coordinator/data/store/state_folder.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class DatasetShelfTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = MakeScratchFolder(testing::TempDir(), "shelf").value();
    state_ = StateFolder::Open(root_).value();
    shelf_ = std::make_unique<DatasetShelf>(state_->datasets());
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::string Publish(const std::string& query = "text") {
    const ScratchFolder scratch = ScratchFolder::Make(state_->scratch(), "import").value();
    const auto writer = DatasetWriter::Create(scratch.path()).value();
    const uint32_t passage = writer->AddPassage("", "p").value();
    writer->AddDocument("d", passage).value();
    writer->AddQuery("q", query).value();
    writer->AddSource("human").value();
    writer->AddJudgment("train", 0, {.document = 0, .passage = passage});
    const std::string digest = writer->Finish()->dataset.digest();
    EXPECT_TRUE(shelf_->Publish(scratch.path(), digest).ok());
    return digest;
  }

  std::filesystem::path root_;
  std::unique_ptr<StateFolder> state_;
  std::unique_ptr<DatasetShelf> shelf_;
};

TEST_F(DatasetShelfTest, PublishesOnceAndOpensOnce) {
  const std::string digest = Publish();
  const auto dataset = shelf_->Open(digest).value();
  EXPECT_EQ(dataset->query_text(0), "text");
  EXPECT_EQ(Publish(), digest);
  EXPECT_EQ(shelf_->Open(digest).value(), dataset);
  EXPECT_TRUE(std::filesystem::is_empty(state_->scratch()));
}

TEST_F(DatasetShelfTest, ADamagedDatasetIsReplaced) {
  const std::string digest = Publish();
  std::filesystem::remove(state_->datasets() / digest / "queries.text");
  EXPECT_FALSE(shelf_->Open(digest).ok());
  Publish();
  EXPECT_TRUE(shelf_->Open(digest).ok());
}

TEST_F(DatasetShelfTest, KeepsWhatIsHeld) {
  const std::string digest = Publish();
  {
    const auto held = shelf_->Open(digest).value();
    EXPECT_FALSE(shelf_->RemoveUnlessUsedSince(digest, absl::InfiniteFuture()).value());
    EXPECT_TRUE(shelf_->Open(digest).ok());
  }
  EXPECT_TRUE(shelf_->RemoveUnlessUsedSince(digest, absl::InfiniteFuture()).value());
  const absl::Status status = shelf_->Open(digest).status();
  EXPECT_EQ(ReasonOf(status), "DATASET_NOT_FOUND");
  EXPECT_THAT(std::string(status.message()), HasSubstr("is no longer stored"));
}

TEST_F(DatasetShelfTest, ValidatesOnceWhatIsOpenedAgain) {
  const std::string digest = Publish();
  const Dataset* first = shelf_->Open(digest)->get();  // only the shelf holds it
  EXPECT_EQ(shelf_->Open(digest)->get(), first);
}

TEST_F(DatasetShelfTest, DropsTheDatasetOpenedLongestAgo) {
  const std::string oldest = Publish("oldest");
  const std::weak_ptr<const Dataset> dataset = shelf_->Open(oldest).value();
  for (size_t i = 0; i < DatasetShelf::kKept; ++i) {
    EXPECT_FALSE(dataset.expired());
    ASSERT_TRUE(shelf_->Open(Publish("query " + std::to_string(i))).ok());
  }
  EXPECT_TRUE(dataset.expired());
  EXPECT_TRUE(shelf_->Open(oldest).ok());
}

TEST_F(DatasetShelfTest, ManyThreadsOpenOneDataset) {
  const std::string digest = Publish();
  std::vector<std::shared_ptr<const Dataset>> opened(8);
  std::vector<std::thread> threads;
  for (auto& dataset : opened) threads.emplace_back([&] { dataset = shelf_->Open(digest).value(); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& dataset : opened) EXPECT_EQ(dataset, opened[0]);
}

TEST_F(DatasetShelfTest, KnowsWhatWasNotUsed) {
  const std::string digest = Publish();
  EXPECT_THAT(shelf_->NotUsedSince(absl::UnixEpoch()).value(), IsEmpty());
  EXPECT_THAT(shelf_->NotUsedSince(absl::InfiniteFuture()).value(), ElementsAre(digest));
}

TEST_F(DatasetShelfTest, TheStateFolderHasOneOwnerAndStartsWithEmptyScratch) {
  ASSERT_TRUE(WriteFileAtomically(state_->scratch() / "half", "x").ok());
  EXPECT_THAT(std::string(StateFolder::Open(root_).status().message()), HasSubstr("another muster-data"));
  state_.reset();
  state_ = StateFolder::Open(root_).value();
  EXPECT_TRUE(std::filesystem::is_empty(state_->scratch()));
}

TEST_F(DatasetShelfTest, RefusesMoreThanTheDiskHas) {
  EXPECT_TRUE(state_->CheckRoom(0).ok());
  EXPECT_EQ(ReasonOf(state_->CheckRoom(uint64_t{1} << 62)), "DISK_FULL");
}

}  // namespace
}  // namespace muster
