#include "coordinator/core/desired.h"

#include <gtest/gtest.h>

namespace muster {
namespace {

muster::v1::ResolvedJob SentFor(const std::string& architecture) {
  State state;
  JobRecord record;
  record.mutable_job()->set_id("j");
  record.mutable_running();
  auto* attempt = record.mutable_job()->add_attempts();
  attempt->set_number(1);
  attempt->add_ranks()->set_worker("w1");
  auto* resolved = record.mutable_job()->mutable_resolved();
  resolved->set_architecture(architecture);
  resolved->set_embedding_size(384);
  resolved->mutable_prompts()->set_query("");
  resolved->set_total_steps(7);
  EXPECT_TRUE(Apply(RecordOf(record), state).ok());
  return DesiredStateOf(state, "w1").assignments(0).resolved();
}

// During an upgrade a job that needs nothing new runs on workers of the version before, whose ranks fail on fields that
// they do not know.
TEST(DesiredState, HidesFromEveryRankWhatRanksOfTheVersionBeforeCannotRead) {
  const muster::v1::ResolvedJob bert = SentFor("bert"), qwen = SentFor("qwen3");
  EXPECT_EQ(bert.architecture(), "");
  EXPECT_EQ(bert.embedding_size(), 0);
  EXPECT_FALSE(bert.has_prompts());
  EXPECT_EQ(bert.total_steps(), 7);
  EXPECT_EQ(qwen.architecture(), "qwen3");
  EXPECT_EQ(qwen.embedding_size(), 384);
}

}  // namespace
}  // namespace muster
