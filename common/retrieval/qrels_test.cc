#include "common/retrieval/qrels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/retrieval/testing/text_files.h"

namespace muster {
namespace {

using testing::HasSubstr;

TEST(Qrels, ReadsTrecsAndBeirsFormat) {
  const TextFiles files;
  for (const char* text : {"q1 0 a 2\nq2 0 b 1\nq1 0 c -1\nq1 0 a 2\n", "q1\t0\ta\t2\nq2 Q0 b 1\nq1 0 c -1\n",
                           "query-id\tcorpus-id\tscore\r\nq1\ta\t2\r\nq2\tb\t1\r\nq1\tc\t-1\r\n", "q1\ta\t2\nq2\tb\t1\nq1\tc\t-1\n"}) {
    for (const std::string& file : {files.Write("qrels", text), files.WriteGzip("qrels.gz", text)}) {
      const auto qrels = Qrels::Read(file);
      ASSERT_TRUE(qrels.ok()) << qrels.status();
      ASSERT_EQ(qrels->queries().size(), 2) << text;
      EXPECT_EQ(qrels->Find("q1")->grades.size(), 2);
      EXPECT_EQ(qrels->Find("q1")->grades.at("a"), 2);
      EXPECT_EQ(qrels->Find("q1")->grades.at("c"), -1);
      EXPECT_EQ(qrels->Find("q3"), nullptr);
    }
  }
}

TEST(Qrels, OfBeirMayHaveIdsWithBlanks) {
  const TextFiles files;
  const auto qrels = Qrels::Read(files.Write("qrels", "query-id\tcorpus-id\tscore\nmy query\tmy document\t1\n"));
  ASSERT_TRUE(qrels.ok()) << qrels.status();
  EXPECT_EQ(qrels->Find("my query")->grades.at("my document"), 1);
}

TEST(Qrels, NamesFileLineAndRemedyOfWhatItCannotRead) {
  const TextFiles files;
  const auto error = [&](std::string_view text) { return Shortened(Qrels::Read(files.Write("q.tsv", text)).status(), files); };
  EXPECT_EQ(error("q1 0 a 1\nq1 0 b\n"), "q.tsv:2: has 3 fields instead of 4 (query, iteration, document, grade). Fix the line.");
  EXPECT_EQ(error("q1\ta\t1\nq1\tb\n"), "q.tsv:2: has 2 fields instead of 3 between tabs (query, document, grade). Fix the line.");
  EXPECT_EQ(error("q1 0 a yes\n"), "q.tsv:1: the grade \"yes\" is not a number. Fix the line.");
  EXPECT_THAT(error("q1\ta\tnan\n"), HasSubstr("q.tsv:1: the grade \"nan\" is not a number"));
  EXPECT_THAT(error("q1\t\t1\n"), HasSubstr("has no id"));
  EXPECT_EQ(error("q1 0 a 1\nq1 0 a 2\n"),
            "q.tsv:2: document \"a\" of query \"q1\" has the grade 2 here and 1 in line 1. Remove one.");
  EXPECT_THAT(error("q1 Q0 a 1 0.5 tag\n"), HasSubstr("q.tsv:1: has 6 fields: is this a run?"));
  EXPECT_EQ(error("query-id\tcorpus-id\tscore\n"), "q.tsv: has a header and no judgments. Is it complete?");
}

}  // namespace
}  // namespace muster
