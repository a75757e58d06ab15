#include "coordinator/data/store/catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

class CatalogueTest : public testing::Test {
 protected:
  void SetUp() override { folder_ = MakeScratchFolder(testing::TempDir(), "catalogue").value(); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::unique_ptr<Catalogue> Open() { return Catalogue::Open(folder_ / "catalogue.db").value(); }

  std::filesystem::path folder_;
};

muster::v1::Dataset Named(const std::string& name, const std::string& digest) {
  muster::v1::Dataset dataset;
  dataset.set_name(name);
  dataset.set_digest(digest);
  return dataset;
}

TEST_F(CatalogueTest, KeepsEntriesOverARestartAndReplacesByName) {
  ASSERT_TRUE(Open()->PutDataset(Named("a", "1")).ok());
  ASSERT_TRUE(Open()->PutDataset(Named("b", "2")).ok());
  ASSERT_TRUE(Open()->PutDataset(Named("a", "3")).ok());
  const auto catalogue = Open();
  EXPECT_EQ(catalogue->GetDataset("a")->digest(), "3");
  EXPECT_EQ(catalogue->ListDatasets()->size(), 2u);
  EXPECT_TRUE(catalogue->ListModels()->empty());
}

TEST_F(CatalogueTest, KeepsTheReportOfTheImportThatGaveTheContent) {
  muster::v1::ImportReport report;
  *report.mutable_dataset() = Named("a", "1");
  report.set_schema("beir");
  ASSERT_TRUE(Open()->PutImport(report).ok());
  const auto catalogue = Open();
  EXPECT_EQ(catalogue->GetDataset("a")->digest(), "1");
  EXPECT_EQ((*catalogue->ReportOf(Named("a", "1")))->schema(), "beir");
  // A version without reports replaced the name's content.
  ASSERT_TRUE(catalogue->PutDataset(Named("a", "2")).ok());
  EXPECT_FALSE(catalogue->ReportOf(*catalogue->GetDataset("a"))->has_value());
  EXPECT_FALSE(catalogue->ReportOf(Named("b", "1"))->has_value());
  ASSERT_TRUE(catalogue->PutImport(report).ok());
  ASSERT_TRUE(catalogue->DeleteDataset("a").ok());
  ASSERT_TRUE(catalogue->PutDataset(Named("a", "1")).ok());
  EXPECT_FALSE(catalogue->ReportOf(Named("a", "1"))->has_value()) << "it went with the name";
}

TEST_F(CatalogueTest, NamesWhatExistsAndTheNearest) {
  const auto catalogue = Open();
  EXPECT_EQ(catalogue->GetDataset("scifact").status().message(),
            "dataset \"scifact\" does not exist. There are none.");
  ASSERT_TRUE(catalogue->PutDataset(Named("pubmedqa", "1")).ok());
  ASSERT_TRUE(catalogue->PutDataset(Named("scifact", "2")).ok());
  const absl::Status status = catalogue->GetDataset("scifcat").status();
  EXPECT_EQ(status.message(),
            "dataset \"scifcat\" does not exist. There are: pubmedqa, scifact. Did you mean \"scifact\"?");
  EXPECT_EQ(ReasonOf(status), "DATASET_NOT_FOUND");
  EXPECT_EQ(catalogue->DeleteDataset("x").message(),
            "dataset \"x\" does not exist. There are: pubmedqa, scifact.");
}

TEST_F(CatalogueTest, DeletesOneName) {
  const auto catalogue = Open();
  ASSERT_TRUE(catalogue->PutDataset(Named("a", "1")).ok());
  ASSERT_TRUE(catalogue->PutDataset(Named("b", "1")).ok());
  ASSERT_TRUE(catalogue->DeleteDataset("a").ok());
  EXPECT_FALSE(catalogue->GetDataset("a").ok());
  EXPECT_TRUE(catalogue->GetDataset("b").ok());
}

}  // namespace
}  // namespace muster
