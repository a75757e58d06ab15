#include "common/retrieval/run_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/retrieval/testing/text_files.h"
#include "common/retrieval/text_file.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string ErrorOf(const TextFiles& files, std::string_view text) {
  return Shortened(RunFile::Read(files.Write("run.txt", text)).status(), files);
}

std::vector<std::string> Documents(const std::vector<RunFile::Entry>& entries) {
  std::vector<std::string> names;
  for (const RunFile::Entry& entry : entries) names.emplace_back(entry.document);
  return names;
}

TEST(RunFile, ReadsPlainAndGzipLinesInAnyOrder) {
  const TextFiles files;
  const std::string text = "\xEF\xBB\xBFq1 Q0 a 1 0.5 tag\r\nq2\tQ0\tb\t1\t1e-3\ttag with blanks\n\nq1 Q0 c 2 -0.25\n";
  for (const std::string& file : {files.Write("plain", text), files.WriteGzip("packed.gz", text)}) {
    const auto run = RunFile::Read(file);
    ASSERT_TRUE(run.ok()) << run.status();
    ASSERT_EQ(run->queries().size(), 2);
    EXPECT_EQ(run->queries()[0].id, "q1");
    EXPECT_THAT(Documents(run->queries()[0].entries), ElementsAre("a", "c"));
    EXPECT_EQ(run->Find("q2")->entries[0].score, 1e-3);
    EXPECT_EQ(run->Find("q2")->entries[0].line, 2);
    EXPECT_EQ(run->Find("q3"), nullptr);
  }
}

TEST(RunFile, NamesFileLineAndRemedyOfWhatItCannotRead) {
  const TextFiles files;
  EXPECT_EQ(ErrorOf(files, "q1 Q0 a 1 0.5 t\nq1 Q0 b 2 high t\n"),
            "run.txt:2: the score \"high\" is not a number. Fix the line.");
  EXPECT_EQ(ErrorOf(files, "q1 Q0 a 1 nan t\n"),
            "run.txt:1: the score of document \"a\" is nan, which has no place in a ranking. Fix the model that made it, or "
            "remove the line.");
  EXPECT_THAT(ErrorOf(files, "q1 Q0 a 1 -inf t\n"), HasSubstr("run.txt:1: the score of document \"a\" is -inf"));
  EXPECT_THAT(ErrorOf(files, "q1 Q0 a first 0.5 t\n"), HasSubstr("run.txt:1: the rank \"first\" is not a whole number"));
  EXPECT_THAT(ErrorOf(files, "q1 0 a 1\n"), HasSubstr("run.txt:1: has 4 fields: are these judgments (--qrels)?"));
  EXPECT_THAT(ErrorOf(files, "q1\ta\t1\n"), HasSubstr("as runs of MS MARCO without scores"));
  EXPECT_THAT(ErrorOf(files, "{\"q1\": {\"a\": 0.5}}\n"), HasSubstr("A run has 6: query, Q0, document, rank, score, tag."));
  EXPECT_EQ(ErrorOf(files, " \n\n"), "run.txt: is empty. Did the program that writes it succeed?");
  EXPECT_THAT(Shortened(RunFile::Read(files.folder() / "nowhere").status(), files),
              HasSubstr("nowhere: cannot be opened: No such file or directory. Check the path."));
  EXPECT_THAT(std::string(RunFile::Read(files.folder()).status().message()), HasSubstr("is a folder"));
}

TEST(RunFile, RefusesAGzipFileThatIsCutOff) {
  const TextFiles files;
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "q1 Q0 d" + std::to_string(i) + " 1 " + std::to_string(i % 977) + " t\n";
  const std::string file = files.WriteGzip("run.gz", text);
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  EXPECT_THAT(std::string(RunFile::Read(file).status().message()), HasSubstr("Is it complete? Copy it again."));
}

TEST(RunFile, ADocumentThatOccursTwiceIsRefusedOrItsBestScoreCounts) {
  const TextFiles files;
  const std::string text = "q1 Q0 a 1 0.5 t\nq2 Q0 a 1 0.5 t\nq1 Q0 b 2 0.4 t\nq1 Q0 a 3 0.9 t\nq2 Q0 a 2 0.1 t\n";
  EXPECT_EQ(ErrorOf(files, text),
            "run.txt:4: document \"a\" of query \"q1\" is in line 1 already. Remove one, or let the best score count: "
            "--duplicates best.");
  const auto best = RunFile::Read(files.Write("run.txt", text), Duplicates::kBest);
  ASSERT_TRUE(best.ok()) << best.status();
  EXPECT_EQ(best->Find("q1")->entries[0].score, 0.9);
  EXPECT_EQ(best->Find("q2")->entries[0].score, 0.5);
  EXPECT_THAT(Documents(best->Find("q1")->entries), ElementsAre("a", "b"));
}

TEST(Ranked, BreaksTiesByRankOrAsTrecEval) {
  const TextFiles files;
  const auto run = RunFile::Read(files.Write("run.txt", "q Q0 b 2 1 t\nq Q0 c 1 1 t\nq Q0 a 1 1 t\nq Q0 d 4 2 t\n"));
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_THAT(Documents(Ranked(run->queries()[0], RankingRule::kMuster)), ElementsAre("d", "c", "a", "b"));
  EXPECT_THAT(Documents(Ranked(run->queries()[0], RankingRule::kTrecEval)), ElementsAre("d", "c", "b", "a"));
  EXPECT_TRUE(RanksContradictScores(run->queries()[0]));
  // Equal as float32.
  const auto close = RunFile::Read(files.Write("close.txt", "q Q0 a 1 1.0000000001 t\nq Q0 b 2 1 t\n"));
  ASSERT_TRUE(close.ok()) << close.status();
  EXPECT_THAT(Documents(Ranked(close->queries()[0], RankingRule::kMuster)), ElementsAre("a", "b"));
  EXPECT_THAT(Documents(Ranked(close->queries()[0], RankingRule::kTrecEval)), ElementsAre("b", "a"));
}

TEST(QuotedId, IsShortAndPrintable) {
  EXPECT_EQ(QuotedId("a\x1b[2Jb"), "\"a\\x1b[2Jb\"");
  EXPECT_LT(QuotedId(std::string(1000, 'x')).size(), 70);
}

}  // namespace
}  // namespace muster
