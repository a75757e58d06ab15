#include "client/init/detect_tool.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace muster {

std::string DetectTool(const ToolArguments& arguments) {
  // Words of command lines, and arguments, that only one tool uses.
  static const std::map<std::string, std::vector<std::string>> kSigns = {
      {"tevatron",
       {"grad_cache", "gc_q_chunk_size", "gc_p_chunk_size", "query_prefix", "passage_prefix", "corpus_name", "q_max_len",
        "positive_passage_no_shuffle", "append_eos_token"}},
      {"flagembedding",
       {"query_instruction_for_retrieval", "sentence_pooling_method", "normalize_embeddings", "normlized",
        "negatives_cross_device", "train_data", "same_dataset_within_batch", "knowledge_distillation"}},
      {"swift", {"tuner_type", "train_type", "task_type", "loss_type", "INFONCE_TEMPERATURE", "split_dataset_ratio"}},
      {"arctic", {"loss_temperature", "use_in_batch_negatives", "model.name_or_path", "data.max_seq_length_query"}},
      {"sentence-transformers",
       {"scale", "similarity_fct", "batch_sampler", "multi_dataset_batch_sampler", "matryoshka_dims"}},
  };
  std::vector<std::string> found;
  for (const auto& [tool, signs] : kSigns) {
    if (absl::StrContains(absl::AsciiStrToLower(arguments.program), tool)) return tool;
    const bool given = std::ranges::any_of(arguments.arguments, [&](const Argument& argument) {
      return std::ranges::find(signs, argument.key) != signs.end();
    });
    if (given) found.push_back(tool);
  }
  return found.size() == 1 ? found[0] : "";
}

}  // namespace muster
