// Arguments of sentence-transformers and of its losses, and the betas of Arctic's optimizer.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/init/argument_values.h"
#include "client/init/tools/handlers.h"
#include "common/status.h"

namespace muster {
namespace {

absl::Status Prompts(Translator& job, const Argument& argument) {
  if (argument.values.empty()) return job.Harmless(argument, "no prompt");
  if (argument.values.size() > 1 || absl::StartsWith(argument.Text(), "{")) {
    return absl::InvalidArgumentError("is not one prompt for all texts: set model.prompts.query and model.prompts.passage");
  }
  if (ValueOf(argument) == "null") return job.Harmless(argument, "no prompt");
  RETURN_IF_ERROR(job.Set("model.prompts.passage", YamlScalar(argument.Text()), Quoted(argument)));
  return job.SetFrom(argument, "model.prompts.query", YamlScalar(argument.Text()));
}

// prompts: {anchor: …, positive: …}, perhaps per dataset: a prompt for each column of the data.
absl::Status ColumnPrompt(Translator& job, const Argument& argument) {
  const std::string column = argument.key.substr(argument.key.rfind('.') + 1);
  const auto is_of = [&](std::initializer_list<absl::string_view> names) { return std::ranges::find(names, column) != names.end(); };
  std::string field;
  if (is_of({"anchor", "query", "question", "sentence1", "sentence_0", "sentence_A"})) field = "model.prompts.query";
  if (is_of({"positive", "answer", "document", "passage", "sentence2", "sentence_1", "sentence_B"}) ||
      absl::StartsWith(column, "negative")) {
    field = "model.prompts.passage";
  }
  if (field.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("nothing says whether column \"", column, "\" holds queries or passages: set ",
                                                   "model.prompts.query or model.prompts.passage to ", YamlScalar(argument.Text())));
  }
  if (argument.values.empty() || ValueOf(argument) == "null") return job.Harmless(argument, "no prompt");
  return job.SetFrom(argument, field, YamlScalar(argument.Text()));
}

// FlagEmbedding averages over the sizes; sentence-transformers and ms-swift add them.
absl::Status MatryoshkaSizes(Translator& job, const Argument& argument) {
  if (argument.values.empty()) return job.Harmless(argument, "whole embeddings are trained");
  std::vector<std::string> sizes;
  for (const std::string& value : argument.values) {
    for (const absl::string_view size : absl::StrSplit(value, absl::ByAnyChar("[], "), absl::SkipEmpty())) {
      sizes.emplace_back(size);
    }
  }
  if (const Argument* use = job.Find("use_mrl"); job.tool() == "flagembedding" && (use == nullptr || ValueOf(*use) != "true")) {
    return job.Harmless(argument, "without use_mrl it has no effect");
  }
  if (job.tool() == "flagembedding") {
    const std::vector<std::string> weights(sizes.size(), absl::StrCat(1.0 / static_cast<double>(sizes.size())));
    RETURN_IF_ERROR(job.Set("loss.matryoshka_weights", absl::StrCat("[", absl::StrJoin(weights, ", "), "]"),
                        "the tool takes the mean over the sizes"));
  }
  return job.SetFrom(argument, "loss.matryoshka_dimensions", absl::StrCat("[", absl::StrJoin(sizes, ", "), "]"));
}

absl::Status MatryoshkaWeights(Translator& job, const Argument& argument) {
  if (argument.values.empty() || ValueOf(argument) == "null") return job.Harmless(argument, "all weights are 1");
  return job.SetFrom(argument, "loss.matryoshka_weights", absl::StrCat("[", absl::StrJoin(argument.values, ", "), "]"));
}

absl::Status Scale(Translator& job, const Argument& argument) {
  const auto scale = FiniteNumber(ValueOf(argument));
  if (!scale.has_value() || *scale <= 0) return absl::InvalidArgumentError("is not a scale above 0");
  return job.SetFrom(argument, "loss.temperature", absl::StrCat(1 / *scale), "1 / scale");
}

absl::Status Betas(Translator& job, const Argument& argument) {
  if (argument.values.size() != 2) return absl::InvalidArgumentError("must be two numbers");
  RETURN_IF_ERROR(job.Set("optimizer.beta1", argument.values[0], Quoted(argument)));
  return job.SetFrom(argument, "optimizer.beta2", argument.values[1]);
}

}  // namespace

const ArgumentHandlers& SentenceTransformersHandlers() {
  static const auto* const kHandlers = new ArgumentHandlers{
      {"prompts", Prompts},
      {"prompts.*", ColumnPrompt},
      {"mrl_dims", MatryoshkaSizes},
      {"matryoshka_dims", MatryoshkaSizes},
      {"matryoshka_weights", MatryoshkaWeights},
      {"scale", Scale},
      {"optimizer.betas", Betas},
  };
  return *kHandlers;
}

}  // namespace muster
