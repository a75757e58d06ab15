// Parquet files, through muster-parquet if it was built. The files were written with pyarrow and hold what the
// expectations say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "coordinator/data/dataset.h"
#include "coordinator/data/import/importer.h"
#include "test_paths.h"

namespace muster {
namespace {

using muster::v1::ImportReport;
using testing::ElementsAre;
using testing::HasSubstr;
using Files = std::vector<std::pair<std::string, std::string>>;  // path, content

constexpr char kDocuments[] =
    "UEFSMRUAFTwVPCwVBhUAFQYVBhwAAAACAAAABgEBAAAAAAAAAAIAAAAAAAAAAwAAAAAAAAAVABVEFUQsFQYVABUGFQYcAAAAAgAAAAYBBwAA"
    "AG9uZSAiMSIEAAAAdHdvCgUAAAB0aHJlZRUEGTw1ABgGc2NoZW1hFQQAFQQlAhgLRE9DVU1FTlRfSUQAFQwlAhgNRE9DVU1FTlRfVEVYVCUA"
    "TBwAAAAWBhkcGSwmABwVBBklBgAZGAtET0NVTUVOVF9JRBUAFgYWYhZiJghJHBUAFQAVAgA8KQYZJgAGAAAAJgAcFQwZJQYAGRgNRE9DVU1F"
    "TlRfVEVYVBUAFgYWahZqJmpJHBUAFQAVAgA8FiAZBhkmAAYAAAAWzAEWBiYIFswBACggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyNi4w"
    "LjEZLBwAABwAAADlAAAAUEFSMQ==";
constexpr char kQueries[] =
    "UEFSMRUAFSAVICwVBBUAFQYVBhwAAAACAAAABAEBAAAAYQEAAABiFQAVMhUyLBUEFQAVBhUGHAAAAAIAAAAEAQUAAABmaXJzdAYAAABzZWNv"
    "bmQVBBk8NQAYBnNjaGVtYRUEABUMJQIYCFFVRVJZX0lEJQBMHAAAABUMJQIYClFVRVJZX1RFWFQlAEwcAAAAFgQZHBksJgAcFQwZJQYAGRgI"
    "UVVFUllfSUQVABYEFkYWRiYISRwVABUAFQIAPBYEGQYZJgAEAAAAJgAcFQwZJQYAGRgKUVVFUllfVEVYVBUAFgQWWBZYJk5JHBUAFQAVAgA8"
    "FhYZBhkmAAQAAAAWngEWBCYIFp4BACggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyNi4wLjEZLBwAABwAAADhAAAAUEFSMQ==";
constexpr char kLabels[] =
    "UEFSMRUAFTQVNCwVCBUAFQYVBhwAAAACAAAACAEBAAAAYQEAAABhAQAAAGEBAAAAYhUAFUwVTCwVCBUAFQYVBhwAAAACAAAACAEBAAAAAAAA"
    "AAIAAAAAAAAAAwAAAAAAAAACAAAAAAAAABUAFSwVLCwVCBUAFQYVBhwAAAACAAAACAEBAAAA/////wAAAAABAAAAFQQZTDUAGAZzY2hlbWEV"
    "BgAVDCUCGAhRVUVSWV9JRCUATBwAAAAVBCUCGAtET0NVTUVOVF9JRAAVAiUCGAVMQUJFTCUeTKwTCBEAAAAWCBkcGTwmABwVDBklBgAZGAhR"
    "VUVSWV9JRBUAFggWWhZaJghJHBUAFQAVAgA8FggZBhkmAAgAAAAmABwVBBklBgAZGAtET0NVTUVOVF9JRBUAFggWchZyJmJJHBUAFQAVAgA8"
    "KQYZJgAIAAAAJgAcFQIZJQYAGRgFTEFCRUwVABYIFlIWUibUAUkcFQAVABUCADwpBhkmAAgAAAAWngIWCCYIFp4CACggcGFycXVldC1jcHAt"
    "YXJyb3cgdmVyc2lvbiAyNi4wLjEZPBwAABwAABwAAAAiAQAAUEFSMQ==";
constexpr char kBadLabels[] =
    "UEFSMRUAFSAVICwVBBUAFQYVBhwAAAACAAAABAEBAAAAYQEAAABiFQAVLBUsLBUEFQAVBhUGHAAAAAIAAAAEAQEAAAAAAAAAAgAAAAAAAAAV"
    "ABUUFRQsFQQVABUGFQYcAAAAAgAAAAMBAQAAABUEGUw1ABgGc2NoZW1hFQYAFQwlAhgIUVVFUllfSUQlAEwcAAAAFQQlAhgLRE9DVU1FTlRf"
    "SUQAFQIlAhgFTEFCRUwlHkysEwgRAAAAFgQZHBk8JgAcFQwZJQYAGRgIUVVFUllfSUQVABYEFkYWRiYISRwVABUAFQIAPBYEGQYZJgAEAAAA"
    "JgAcFQQZJQYAGRgLRE9DVU1FTlRfSUQVABYEFlIWUiZOSRwVABUAFQIAPCkGGSYABAAAACYAHBUCGSUGABkYBUxBQkVMFQAWBBY6FjomoAFJ"
    "HBUAFQAVAgA8KQYZJgICAAAAFtIBFgQmCBbSAQAoIHBhcnF1ZXQtY3BwLWFycm93IHZlcnNpb24gMjYuMC4xGTwcAAAcAAAcAAAAIgEAAFBB"
    "UjE=";
constexpr char kPairs[] =
    "UEFSMRUAFSAVICwVBBUAFQYVBhwAAAACAAAABAEBAAAAYQEAAABiFQAVIBUgLBUEFQAVBhUGHAAAAAIAAAAEAQEAAABwAQAAAHEVABUuFS4s"
    "FQYVABUGFQYcAAAAAgAAAAMCAwAAAAMfAAEAAABuAQAAAG0VBBlsNQAYBnNjaGVtYRUGABUMJQIYBmFuY2hvciUATBwAAAAVDCUCGAhwb3Np"
    "dGl2ZSUATBwAAAA1AhgIbmVnYXRpdmUVAhUGTDwAAAA1BBgEbGlzdBUCABUMJQIYB2VsZW1lbnQlAEwcAAAAFgQZHBk8JgAcFQwZJQYAGRgG"
    "YW5jaG9yFQAWBBZGFkYmCEkcFQAVABUCADwWBBkGGSYABAAAACYAHBUMGSUGABkYCHBvc2l0aXZlFQAWBBZGFkYmTkkcFQAVABUCADwWBBkG"
    "GSYABAAAACYAHBUMGSUGABk4CG5lZ2F0aXZlBGxpc3QHZWxlbWVudBUAFgYWVBZUJpQBSRwVABUAFQIAPBYEGSYEAhlGAAIABAAAABbgARYE"
    "JggW4AEAKCBwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDI2LjAuMRk8HAAAHAAAHAAAAFUBAABQQVIx";

std::string Bytes(const char* base64) {
  std::string bytes;
  EXPECT_TRUE(absl::Base64Unescape(base64, &bytes));
  return bytes;
}

class Parquet : public testing::Test {
 protected:
  void SetUp() override { folder_ = MakeScratchFolder(testing::TempDir(), "parquet").value(); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<ImportReport> Import(const Files& files, const std::filesystem::path& program) {
    muster::v1::ImportHeader header;
    header.set_name("set");
    const auto importer = Importer::Create(header, folder_, nullptr, program).value();
    for (const auto& [path, content] : files) {
      if (const absl::Status status = importer->BeginFile(path); !status.ok()) return status;
      for (size_t at = 0; at < content.size(); at += 100) {
        if (const absl::Status status = importer->Chunk(std::string_view(content).substr(at, 100)); !status.ok()) return status;
      }
    }
    return importer->Finish();
  }
  // "query: +positive -negative ~ignored".
  std::vector<std::string> Rows() {
    const auto dataset = Dataset::Open(folder_).value();
    std::vector<std::string> rows;
    for (uint32_t query = 0; query < dataset->queries(); ++query) {
      std::string row = absl::StrCat(std::string(dataset->query_text(query)), ":");
      for (const Judgment& judgment : dataset->judgments(0, query)) {
        absl::StrAppend(&row, judgment.hard_negative == kHardNegative ? " -" : judgment.hard_negative == kIgnored ? " ~" : " +",
                        std::string(dataset->body(judgment.passage)));
      }
      rows.push_back(row);
    }
    return rows;
  }

  const std::filesystem::path program_ = std::filesystem::path(MUSTER_BINARY_DIR) / "muster-parquet";
  std::filesystem::path folder_;
};

TEST_F(Parquet, IsRefusedByNameWithoutItsReader) {
  const absl::Status status = Import({{"pairs.parquet", Bytes(kPairs)}}, folder_ / "muster-parquet").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("pairs.parquet: is a Parquet file, and this data server was built without"));
}

#ifdef MUSTER_PARQUET
TEST_F(Parquet, HoldsArcticsThreeTables) {
  const auto report = Import({{"documents.parquet", Bytes(kDocuments)}, {"labels.parquet", Bytes(kLabels)}, {"queries.parquet", Bytes(kQueries)}}, program_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->schema(), "arctic");
  EXPECT_THAT(Rows(), ElementsAre("first: +one \"1\" -two\n ~three", "second: +two\n"));
}

TEST_F(Parquet, HoldsColumnsOfTextsAndLists) {
  const auto report = Import({{"data/train-0.parquet", Bytes(kPairs)}}, program_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->schema(), "sentence-transformers");
  EXPECT_THAT(Rows(), ElementsAre("a: +p -n -m", "b: +q"));
}

TEST_F(Parquet, NamesTheRowOfABadRecord) {
  EXPECT_THAT(std::string(Import({{"labels.parquet", Bytes(kBadLabels)}}, program_).status().message()),
              HasSubstr("labels.parquet, row 2: \"label\" must be a number, found null. Fix the row, or import with --skip-bad 10."));
}

TEST_F(Parquet, DamagedIsNamed) {
  std::string bytes = Bytes(kPairs);
  bytes.resize(bytes.size() - 20);
  const absl::Status status = Import({{"pairs.parquet", bytes}}, program_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("pairs.parquet: the Parquet file cannot be read:"));
}
#endif

}  // namespace
}  // namespace muster
