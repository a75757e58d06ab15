#include "client/preview_text.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/output.h"
#include "client/words.h"
#include "common/spec/training_sets.h"

namespace muster {
namespace {

std::string Rounded(double value) { return WithThousands(static_cast<uint64_t>(value + 0.5)); }
std::string OneDigit(double value) { return absl::StrFormat("%.1f", value); }

std::string SampleText(const muster::v1::TrainingPreview& preview) {
  return preview.sampled_steps() == preview.total_steps()
             ? "all steps"
             : absl::StrCat(Plural(preview.sampled_steps(), "sampled step"), " of ", WithThousands(preview.total_steps()));
}

}  // namespace

std::string PreviewText(const muster::v1::SubmitJobResponse& response) {
  const muster::v1::JobSpec& spec = response.job().spec();
  const muster::v1::TrainingPreview& preview = response.preview();
  Table facts({"name", spec.name()});
  facts.Add({"model", spec.model().from().empty() ? spec.model().preset() : spec.model().from()});
  if (!spec.profile().empty()) facts.Add({"profile", spec.profile()});
  if (preview.sampled_steps() == 0) {
    facts.Add({"steps", spec.has_mine() ? absl::StrCat("0: the job trains nothing and mines dataset ", spec.mine().out())
                                        : "0: the job trains nothing and evaluates by report"});
  } else {
    const std::string queries = spec.stages().empty() ? absl::StrCat(", ", Plural(preview.train_queries(), "query")) : "";
    facts.Add({"train", absl::StrCat(TrainingSetsText(spec.data()), queries)});
    const std::string per_epoch =
        spec.stages().empty() ? absl::StrCat(", ", WithThousands(preview.steps_per_epoch()), " per epoch") : "";
    facts.Add({"steps", absl::StrCat(WithThousands(preview.total_steps()), per_epoch, ", of ",
                                     Plural(spec.batch().queries(), "query"))});
    const auto& stages = response.job().resolved().stages();
    for (int i = 0; i < stages.size(); ++i) {
      facts.Add({absl::StrCat("stage ", i + 1),
                 absl::StrCat(WithThousands(stages[i].steps()), " steps, ", WithThousands(stages[i].steps_per_epoch()),
                              " per epoch, ", Plural(stages[i].train_queries(), "query"))});
    }
    facts.Add({"per step", absl::StrCat(Rounded(preview.sequences_per_step()), " sequences, ",
                                        Rounded(preview.tokens_per_step()), " tokens; at most ",
                                        WithThousands(preview.largest_step_tokens()), " tokens (", SampleText(preview),
                                        ")")});
    facts.Add({"loss per query", absl::StrCat(OneDigit(preview.positives_per_query()), " positives, ",
                                              OneDigit(preview.negatives_per_query()), " negatives, ",
                                              OneDigit(preview.ignored_per_query()), " ignored")});
    facts.Add({"truncated", absl::StrFormat("%.1f %% of the sequences, at %u tokens per query and %u per passage",
                                            100 * preview.truncated_share(), spec.model().max_length().query(),
                                            spec.model().max_length().passage())});
    facts.Add({"memory per rank", preview.bytes_per_rank() == 0
                                      ? "not known"
                                      : absl::StrCat("about ", SizeText(preview.bytes_per_rank()), ", of which up to ",
                                                     SizeText(spec.batch().keep_activations()),
                                                     " are batch.keep_activations")});
    facts.Add({"time", preview.seconds() > 0 ? absl::StrCat("about ", DurationText(preview.seconds())) : "not known"});
  }
  std::string text = facts.Text();
  for (const std::string& note : preview.notes()) absl::StrAppend(&text, "note: ", note, "\n");
  return absl::StrCat(text, "nothing was submitted\n");
}

}  // namespace muster
