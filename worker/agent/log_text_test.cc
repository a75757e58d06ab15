#include "worker/agent/log_text.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "common/files.h"
#include "worker/agent/log_file.h"

namespace muster {
namespace {

TEST(CleanUtf8, KeepsValidTextAndReplacesTheRest) {
  EXPECT_EQ(CleanUtf8("häß €, 漢字, 😀"), "häß €, 漢字, 😀");
  EXPECT_EQ(CleanUtf8(std::string_view("a\0b\xff\xc3(", 6)), "a?b?" "?(");
  EXPECT_EQ(CleanUtf8("\xc0\x80"), "??") << "overlong";
  EXPECT_EQ(CleanUtf8("\xed\xa0\x80"), "???") << "surrogate";
  EXPECT_EQ(CleanUtf8("\xe2\x82"), "??") << "cut off";
}

TEST(LineCutter, GivesCompleteLines) {
  LineCutter cutter(10);
  EXPECT_EQ(cutter.Add("one\ntw"), "one\n");
  EXPECT_EQ(cutter.Add("o\n\nthree"), "two\n\n");
  EXPECT_EQ(cutter.Finish(), "three\n");
  EXPECT_EQ(cutter.Finish(), "");
  EXPECT_EQ(cutter.Add("0123456789abc"), "0123456789\nabc\n") << "a line without an end is cut";
}

TEST(LogTail, KeepsTheLastCompleteLines) {
  LogTail tail(10);
  tail.Add("first\n");
  EXPECT_EQ(tail.text(), "first\n");
  tail.Add("second\nlast\n");
  EXPECT_EQ(tail.text(), "last\n");
  tail.Add("0123456789abc\n");
  EXPECT_LE(tail.text().size(), 10);
}

TEST(LogTail, KeepsTheEndOfALongLineFromACharacterOn) {
  LogTail tail(4);
  tail.Add("\xE2\x82\xAC\xE2\x82\xAC\n");  // two of three bytes
  EXPECT_EQ(tail.text(), "\xE2\x82\xAC\n");
  tail = LogTail(3);
  tail.Add("\xE2\x82\xAC\n");
  EXPECT_EQ(tail.text(), "\n");
}

TEST(LogFile, StaysBelowTwiceItsLimit) {
  const auto folder = MakeScratchFolder(testing::TempDir(), "log");
  ASSERT_TRUE(folder.ok());
  auto file = LogFile::Open(*folder / "a.log", 20);
  ASSERT_TRUE(file.ok()) << file.status();
  for (int i = 0; i < 10; ++i) file->Append("line " + std::to_string(i) + "\n");
  EXPECT_EQ(*ReadFile(*folder / "a.log"), "line 8\nline 9\n");
  EXPECT_EQ(*ReadFile(*folder / "a.log.1"), "line 6\nline 7\n");
  // Both were written within one tick of the file system's clock.
  std::filesystem::last_write_time(*folder / "a.log.1", std::filesystem::last_write_time(*folder / "a.log") - std::chrono::seconds(1));
  PruneLogs(*folder, 1);
  EXPECT_FALSE(std::filesystem::exists(*folder / "a.log.1"));
  std::filesystem::remove_all(*folder);
}

}  // namespace
}  // namespace muster
