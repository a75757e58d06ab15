#include "coordinator/data/import/record_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/str_cat.h"

namespace muster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// "line: record" for each record, and the error at the end, if there is one.
std::vector<std::string> Split(const std::string& text, size_t piece, bool may_be_array = true) {
  std::vector<std::string> records;
  RecordSplitter splitter("f", may_be_array, [&](uint64_t line, std::string_view record) {
    records.push_back(absl::StrCat(line, ": ", std::string(record)));
    return absl::OkStatus();
  });
  absl::Status status;
  for (size_t at = 0; at < text.size() && status.ok(); at += piece) {
    status = splitter.Feed(std::string_view(text).substr(at, piece));
  }
  if (status.ok()) status = splitter.Finish();
  if (!status.ok()) records.emplace_back(status.message());
  return records;
}

class RecordSplitterTest : public testing::TestWithParam<size_t> {
 protected:
  std::vector<std::string> Records(const std::string& text, bool may_be_array = true) {
    return Split(text, GetParam(), may_be_array);
  }
};

TEST_P(RecordSplitterTest, TakesLinesAsLines) {
  EXPECT_THAT(Records("{\"a\": [1]}\r\n\n{}"), ElementsAre("1: {\"a\": [1]}", "3: {}"));
  EXPECT_THAT(Records("\n \n{}\n"), ElementsAre("2:  ", "3: {}"));
  EXPECT_THAT(Records("\xEF\xBB\xBFx\n"), ElementsAre("1: x"));
  EXPECT_THAT(Records("[1]\n[2]\n", false), ElementsAre("1: [1]", "2: [2]"));
  EXPECT_THAT(Records(""), IsEmpty());
}

TEST_P(RecordSplitterTest, TakesTheElementsOfAnArrayWithTheirLines) {
  EXPECT_THAT(Records("[{\"a\": \"]},\\\"{\"},\n {\n\"b\": [{}, []]}\n,1, \"x, y\",null ]\n \n"),
              ElementsAre("1: {\"a\": \"]},\\\"{\"}", "2: {\n\"b\": [{}, []]}", "4: 1", "4: \"x, y\"", "4: null"));
  EXPECT_THAT(Records("\xEF\xBB\xBF \n[{\"a\": \"\\\\\"}, [1]]"), ElementsAre("2: {\"a\": \"\\\\\"}", "2: [1]"));
  EXPECT_THAT(Records("[]"), IsEmpty());
}

TEST_P(RecordSplitterTest, TakesObjectsOverSeveralLines) {
  EXPECT_THAT(Records("{\n \"a\": \"}\",\n \"b\": [1]\n}\n{\n\"c\": 2\n}\n"),
              ElementsAre("1: {\n \"a\": \"}\",\n \"b\": [1]\n}", "5: {\n\"c\": 2\n}"));
  EXPECT_THAT(Records("{\"a\": 1,\n\"b\": 2}"), ElementsAre("1: {\"a\": 1,\n\"b\": 2}"));
  EXPECT_THAT(Records("{\n\"a\""), ElementsAre(HasSubstr("f:1: the JSON object that begins here has no end.")));
  EXPECT_THAT(Records("{\"a\": \"cut\n{}"), ElementsAre("1: {\"a\": \"cut", "2: {}")) << "lines, one of which is bad";
}

TEST_P(RecordSplitterTest, RefusesWhatIsNotAnArray) {
  EXPECT_THAT(Records("[{},\n{"), ElementsAre("1: {}", HasSubstr("f:2: the JSON array has no end.")));
  EXPECT_THAT(Records("[{} {}]"), ElementsAre("1: {}", HasSubstr("f:1: expected \",\" or \"]\" between")));
  EXPECT_THAT(Records("[{}]\nx"), ElementsAre("1: {}", HasSubstr("f:2: expected nothing after")));
  EXPECT_THAT(Records("[}, 1]"), ElementsAre("1: }", "1: 1")) << "what an element holds is another's to judge";
}

INSTANTIATE_TEST_SUITE_P(Pieces, RecordSplitterTest, testing::Values(1, 2, 3, 1000));

}  // namespace
}  // namespace muster
