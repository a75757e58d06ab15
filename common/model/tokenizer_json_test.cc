#include "common/model/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

TEST(TokenizerJson, LosesTruncationAndPaddingAlone) {
  EXPECT_EQ(UntruncatedTokenizer(R"({"version":"1.0","truncation":{"max_length":8},"padding":{},"model":{"a":[1]}})").value(),
            R"({"version":"1.0","truncation":null,"padding":null,"model":{"a":[1]}})");
}

TEST(TokenizerJson, RefusesWhatIsNotAnObject) {
  for (const char* text : {"", "[]", "{", "1"}) {
    EXPECT_EQ(UntruncatedTokenizer(text).status().message(), "tokenizer.json: is not a JSON object") << text;
  }
}

TEST(TokenizerJson, RefusesNestingThatCannotBeWritten) {
  const std::string nested = "{\"a\": " + std::string(400000, '[') + std::string(400000, ']') + "}";
  EXPECT_EQ(UntruncatedTokenizer(nested).status().message(), "tokenizer.json: is nested deeper than any tokenizer");
}

}  // namespace
}  // namespace muster
