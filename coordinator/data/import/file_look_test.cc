#include "coordinator/data/import/file_look.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(LookOfFile, SaysWhatAFileIs) {
  EXPECT_EQ(LookOfFile(""), "is empty");
  EXPECT_EQ(LookOfFile("\n\r\n"), "is empty");
  EXPECT_EQ(LookOfFile("a,\"b\"\r\n1,2\n"), "looks like CSV with the columns a, b");
  EXPECT_EQ(LookOfFile("\xEF\xBB\xBF"
                       "a\tb\n"),
            "looks like TSV with the columns a, b");
  EXPECT_EQ(LookOfFile("1,2,3,4,5,6,7,8,9"), "looks like CSV with the columns 1, 2, 3, 4, 5, 6, 7, 8, …");
  EXPECT_EQ(LookOfFile("  [{\"query\": 1}]"), "looks like a JSON array");
  EXPECT_EQ(LookOfFile("{\"query\": 1}"), "looks like JSON objects");
  EXPECT_EQ(LookOfFile("PAR1\x15\x04"), "is a Parquet file");
  EXPECT_EQ(LookOfFile("PK\x03\x04"), "is a zip archive or a spreadsheet: unpack it, or save it as CSV");
  EXPECT_EQ(LookOfFile("BZh91AY"), "is compressed with bzip2 or xz: decompress it, or use gzip or zstd");
  EXPECT_EQ(LookOfFile(std::string(257, '\0') + "ustar  "), "is a tar archive: unpack it");
  EXPECT_THAT(LookOfFile("\xFF\xFF\xFF\xFF\x10"), testing::HasSubstr("load_from_disk"));
  EXPECT_EQ(LookOfFile("caf\xE9 au lait"), "is binary, or not in UTF-8");
  EXPECT_EQ(LookOfFile("one line"), "looks like text that begins \"one line\"");
  // Texts are cut between characters, never within one.
  EXPECT_EQ(LookOfFile(std::string(59, 'x') + "äöü"), "looks like text that begins \"" + std::string(59, 'x') + "…\"");
}

TEST(LookOfFile, ForgivesACharacterThatItsOwnCutBroke) {
  std::string begin(kLookBytes - 1, 'x');
  EXPECT_EQ(LookOfFile(begin + "\xC3").substr(0, 15), "looks like text");
  begin[7] = '\xC3';
  EXPECT_EQ(LookOfFile(begin), "is binary, or not in UTF-8");
}

}  // namespace
}  // namespace muster
