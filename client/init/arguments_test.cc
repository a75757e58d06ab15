#include "client/init/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Flat(const std::string& text) {
  const auto read = ReadToolArguments("args", text);
  if (!read.ok()) return std::string(read.status().message());
  std::string flat = read->program.empty() ? "" : read->program + " | ";
  for (const Argument& argument : read->arguments) flat += argument.key + "=" + argument.Text() + ";";
  return flat;
}

TEST(ToolArguments, AMapMayBeYamlOrJsonAndNested) {
  EXPECT_EQ(Flat("learning_rate: 1e-5\nnone:\nmodel: {pooling: cls, dims: [64, 128]}\n"),
            "learning_rate=1e-5;none=null;model.pooling=cls;model.dims=[64, 128];");
  EXPECT_EQ(Flat(R"({"bf16": true, "train_data": ["a.jsonl", "b.jsonl"], "empty": []})"),
            "bf16=true;train_data=[a.jsonl, b.jsonl];empty=null;");
}

TEST(ToolArguments, ACommandLineHasVariablesContinuedLinesQuotesAndFlags) {
  EXPECT_EQ(Flat("# two GPUs\nCUDA_VISIBLE_DEVICES=0,1 \\\nNPROC_PER_NODE=2 \\\nswift sft \\\n    --model Qwen/Qwen3 \\\n"
                 "    --lr_scheduler_type=cosine --padding_free  # a flag\n"),
            "swift sft | CUDA_VISIBLE_DEVICES=0,1;NPROC_PER_NODE=2;model=Qwen/Qwen3;lr_scheduler_type=cosine;padding_free=true;");
  EXPECT_EQ(Flat("torchrun --nproc_per_node 2 -m FlagEmbedding.finetune.embedder.encoder_only.base --train_data a.jsonl "
                 "b.jsonl --query_instruction_for_retrieval 'a: \"b\" ' --learning-rate 1e-5"),
            "torchrun -m FlagEmbedding.finetune.embedder.encoder_only.base | nproc_per_node=2;train_data=[a.jsonl, b.jsonl];"
            "query_instruction_for_retrieval=a: \"b\" ;learning_rate=1e-5;");
  EXPECT_EQ(Flat("export A=1\nB=2 accelerate launch --num_processes 2 -m tevatron.retriever.driver.train --fp16"),
            "export accelerate launch -m tevatron.retriever.driver.train | A=1;B=2;num_processes=2;fp16=true;");
}

TEST(ToolArguments, OtherTextIsRefusedWithItsPlace) {
  EXPECT_THAT(Flat("hello"), HasSubstr("args: holds no arguments. Give a YAML or JSON map of them, or a command line"));
  EXPECT_THAT(Flat("[a, b]"), HasSubstr("holds no arguments"));
  EXPECT_THAT(Flat(""), HasSubstr("holds no arguments"));
  EXPECT_EQ(Flat("a: 1\n---\nb: 2\n"), "args: holds several documents. Give one.");
  EXPECT_THAT(Flat("a: [1\n"), HasSubstr("args:2: is not valid YAML"));
  EXPECT_THAT(Flat("train --a 'b\n"), HasSubstr("args:2: the quote ' is never closed."));
}

}  // namespace
}  // namespace muster
