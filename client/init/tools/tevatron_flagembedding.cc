// Arguments of Tevatron and FlagEmbedding: pooling, prompts, choice of passages.
#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/init/argument_values.h"
#include "client/init/tools/handlers.h"
#include "common/status.h"

namespace muster {
namespace {

absl::Status Pooling(Translator& job, const Argument& argument) {
  static const std::map<std::string, std::string> kNames = {
      {"cls", "cls"},   {"first", "cls"}, {"first_token", "cls"}, {"mean", "mean"},        {"avg", "mean"},
      {"average", "mean"}, {"last", "last"}, {"eos", "last"},     {"last_token", "last"}};
  const auto found = kNames.find(ValueOf(argument));
  if (found == kNames.end()) return absl::InvalidArgumentError("set model.pooling, see docs/reference/job-spec.md");
  return job.SetFrom(argument, "model.pooling", found->second);
}

absl::Status QueryPrefix(Translator& job, const Argument& argument) {
  return job.SetFrom(argument, "model.prompts.query", YamlScalar(argument.Text()));
}

absl::Status PassagePrefix(Translator& job, const Argument& argument) {
  return job.SetFrom(argument, "model.prompts.passage", YamlScalar(argument.Text()));
}

// FlagEmbedding's format.format(instruction, text): "{}{}", or "Instruct: {}\nQuery: {}".
absl::Status Instruction(Translator& job, const Argument& argument) {
  const bool query = absl::StartsWith(argument.key, "query");
  const std::string field = query ? "model.prompts.query" : "model.prompts.passage";
  if (argument.values.empty() || ValueOf(argument) == "null") return job.Harmless(argument, "no prompt");
  const Argument* given = job.Find(query ? "query_instruction_format" : "passage_instruction_format");
  // On a command line the tool's examples write a line end as backslash and n, and the tool converts it.
  const std::string format = given != nullptr ? absl::StrReplaceAll(given->Text(), {{"\\n", "\n"}}) : "{}{}";
  const size_t first = format.find("{}");
  if (first == std::string::npos || format.find("{}", first + 2) != format.size() - 2) {
    return absl::InvalidArgumentError(absl::StrCat("a prompt comes before the text, and the format is \"", format, "\""));
  }
  std::string prompt = format.substr(0, format.size() - 2);
  prompt.replace(first, 2, argument.Text());
  return job.SetFrom(argument, field, YamlScalar(prompt));
}

absl::Status InstructionFormat(Translator& job, const Argument& argument) {
  const bool query = absl::StartsWith(argument.key, "query");
  return job.Harmless(argument, query ? "see query_instruction_for_retrieval" : "see passage_instruction_for_retrieval");
}

absl::Status FirstPositive(Translator& job, const Argument& argument) {
  if (ValueOf(argument) != "true") return job.Harmless(argument, "the tool's default");
  return job.SetFrom(argument, "data.positives.choose", "first");
}

absl::Status FirstNegatives(Translator& job, const Argument& argument) {
  if (ValueOf(argument) != "true") return job.Harmless(argument, "the tool's default");
  return job.SetFrom(argument, "data.negatives.choose", "first");
}

}  // namespace

const ArgumentHandlers& TevatronAndFlagEmbeddingHandlers() {
  static const auto* const kHandlers = new ArgumentHandlers{
      {"pooling", Pooling},
      {"model.pooling", Pooling},
      {"sentence_pooling_method", Pooling},
      {"query_prefix", QueryPrefix},
      {"passage_prefix", PassagePrefix},
      {"query_instruction_for_retrieval", Instruction},
      {"passage_instruction_for_retrieval", Instruction},
      {"query_instruction_format", InstructionFormat},
      {"passage_instruction_format", InstructionFormat},
      {"positive_passage_no_shuffle", FirstPositive},
      {"negative_passage_no_shuffle", FirstNegatives},
  };
  return *kHandlers;
}

}  // namespace muster
