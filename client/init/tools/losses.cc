// Arguments of losses: false negatives (ms-swift), distillation (FlagEmbedding).
#include <set>
#include <string>

#include "client/init/argument_values.h"
#include "client/init/tools/handlers.h"

namespace muster {
namespace {

// The tool's default of INFONCE_FAKE_NEG_MARGIN.
constexpr char kSwiftMargin[] = "0.1";

absl::Status MaskFalseNegatives(Translator& job, const Argument& argument) {
  static const std::set<std::string> kTrue = {"true", "1", "yes", "y", "on", "t"};
  if (!kTrue.contains(ValueOf(argument))) return job.Harmless(argument, "the tool's default");
  const Argument* margin = job.Find("INFONCE_FAKE_NEG_MARGIN");
  return job.SetFrom(argument, "loss.false_negatives.margin", margin != nullptr ? ValueOf(*margin) : kSwiftMargin);
}

absl::Status FalseNegativeMargin(Translator& job, const Argument& argument) {
  return job.Harmless(argument, "see INFONCE_MASK_FAKE_NEGATIVE");
}

// Divergence from softmax of the teacher's scores, without a temperature, in addition to the normal loss.
absl::Status KnowledgeDistillation(Translator& job, const Argument& argument) {
  if (ValueOf(argument) != "true") return job.Harmless(argument, "the tool's default");
  return job.SetFrom(argument, "loss.distill.kind", "kl");
}

}  // namespace

const ArgumentHandlers& LossHandlers() {
  static const auto* const kHandlers = new ArgumentHandlers{
      {"INFONCE_MASK_FAKE_NEGATIVE", MaskFalseNegatives},
      {"INFONCE_FAKE_NEG_MARGIN", FalseNegativeMargin},
      {"knowledge_distillation", KnowledgeDistillation},
  };
  return *kHandlers;
}

}  // namespace muster
