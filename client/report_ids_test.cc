#include "client/report_ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Files = std::vector<std::pair<std::string, std::string>>;

Files Export() {
  return {{"queries.jsonl", "{\"_id\":\"q1\",\"text\":\"a\"}\n"},
          {"qrels/dev.tsv", "query-id\tcorpus-id\tscore\nother\td\t1\n"},
          {"qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\ta\t1\nq1\tb\t0\nq0\ta\t1\nq 7\tz\t0.5\n"},
          {"corpus.jsonl", "{\"_id\":\"a\",\"title\":\"\",\"text\":\"x\"}\n"
                           "{\"_id\":\"b\\\"\\\\\",\"title\":\"t\",\"text\":\"\"}\n"
                           "{\"_id\":\"é\",\"title\":\"t\",\"text\":\"y\"}\n"}};
}

// Sends the files in chunks of `size` bytes.
absl::StatusOr<ReportIds> Read(const Files& files, size_t size, ReportIdsReader& reader) {
  muster::v1::ExportDatasetResponse part;
  for (const auto& [path, text] : files) {
    part.set_file(path);
    if (absl::Status status = reader.Take(part); !status.ok()) return status;
    for (size_t begin = 0; begin < text.size(); begin += size) {
      part.set_chunk(text.substr(begin, size));
      if (absl::Status status = reader.Take(part); !status.ok()) return status;
    }
  }
  return reader.Finish();
}

TEST(ReportIds, AreByNumberHoweverTheExportIsCut) {
  for (const size_t size : {1, 2, 7, 1000}) {
    for (const bool corpus_first : {false, true}) {  // as servers of an older version send it
      Files files = Export();
      if (corpus_first) std::swap(files.front(), files.back());
      ReportIdsReader reader("test", true);
      const auto ids = Read(files, size, reader);
      ASSERT_TRUE(ids.ok()) << ids.status();
      EXPECT_THAT(ids->queries, ElementsAre("q1", "q0", "q 7")) << "in the order of the judgments";
      EXPECT_THAT(ids->documents, ElementsAre("é", "b\"\\", "a")) << "in descending order of their bytes";
    }
  }
}

TEST(ReportIds, OfQueriesNeedNoCorpus) {
  ReportIdsReader reader("test", false);
  Files files = Export();
  muster::v1::ExportDatasetResponse part;
  for (const auto& [path, text] : files) {
    EXPECT_EQ(reader.IsComplete(), false) << path;
    part.set_file(path);
    ASSERT_TRUE(reader.Take(part).ok());
    if (path == "corpus.jsonl") break;
    part.set_chunk(text);
    ASSERT_TRUE(reader.Take(part).ok());
  }
  EXPECT_TRUE(reader.IsComplete());
  const auto ids = reader.Finish();
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_THAT(ids->queries, ElementsAre("q1", "q0", "q 7"));
  EXPECT_THAT(ids->documents, IsEmpty());
}

TEST(ReportIds, WhatAnExportLacksIsAnError) {
  ReportIdsReader split("train", true), corpus("test", true), record("test", true), bytes("test", true);
  EXPECT_THAT(std::string(Read(Export(), 10, split).status().message()), HasSubstr("no qrels/train.tsv"));
  Files without = Export();
  without.pop_back();
  EXPECT_THAT(std::string(Read(without, 10, corpus).status().message()), HasSubstr("no corpus.jsonl"));
  EXPECT_THAT(std::string(Read({{"corpus.jsonl", "{\"title\":\"\"}\n"}}, 10, record).status().message()),
              HasSubstr("without an id"));
  Files replaced = Export();
  replaced.back().second = "{\"_id\":\"a\xEF\xBF\xBD\",\"title\":\"\",\"text\":\"\"}\n";
  EXPECT_TRUE(absl::IsFailedPrecondition(Read(replaced, 10, bytes).status()));
}

}  // namespace
}  // namespace muster
