// Controlled label noise (data.noise): the judgments that training reads in place of the dataset's own. A view, computed for
// one query whenever it is read. Evaluation and mining read the dataset itself.
//
// What happens to a positive is a pure function of the noise's seed, the query's text and the passage's text. So all ranks,
// epochs, stages and attempts see the same labels, as do jobs with other seeds. A positive that is replaced or dropped is no
// longer judged for its query: if another query brings it to a step, it is a negative, as any relevant passage is that nobody
// labeled. A positive's replacement has its place, source and grade.
//
// Example: query q has the positives a and b and the hard negative h. With hard_negatives: 0.5 the decision for a may be to
// keep it, and for b to replace it. Then training reads the positives a and h, and no negative.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "coordinator/data/dataset.h"
#include "muster/v1/job.pb.h"

namespace muster {

// The judgments of one query as training reads them. Not copyable: the spans may refer to the vectors.
struct TrainingJudgments {
  TrainingJudgments() = default;
  TrainingJudgments(TrainingJudgments&&) = default;
  TrainingJudgments& operator=(TrainingJudgments&&) = default;

  std::span<const Judgment> judgments;
  std::span<const float> scores;   // a teacher's, one per judgment; empty: there are none. They stay with their passages
  std::vector<uint32_t> injected;  // passages that noise made positives, ascending
  bool IsInjected(uint32_t passage) const;

  std::vector<Judgment> changed_judgments;  // used where noise changed something; `document` has no meaning there
  std::vector<float> changed_scores;
};

// What becomes of a positive passage.
enum class NoiseFate : uint8_t {
  kKept,
  kRandomPassage,   // the next three: replaced
  kHardNegative,
  kOtherPositive,
  kDropped,
  kNotReplaceable,  // to be replaced, but no passage can: kept
};

struct NoiseDecision {
  uint64_t key = 0;  // of all random numbers about this positive
  uint32_t passage = 0;
  NoiseFate fate = NoiseFate::kKept;
  uint32_t replacement = 0;  // a passage; only where it is replaced
  float error = 0;           // of the grade
};

// How many selectable positives have each fate.
struct NoiseCounts {
  uint64_t positives = 0;
  uint64_t random_passages = 0, hard_negatives = 0, other_positives = 0, dropped = 0, not_replaceable = 0;
  uint64_t no_longer_selectable = 0;  // because of the error of their grades
};

// Thread-safe: immutable.
class LabelNoise {
 public:
  // Whether a judgment lets its passage be selected as a positive.
  using Selects = absl::FunctionRef<bool(const Judgment&)>;

  // Null if `data` has no noise or the dataset lacks its split. Keeps a pointer to the dataset. Reads the texts of all queries
  // if positives are replaced.
  static std::shared_ptr<const LabelNoise> Make(const Dataset& dataset, const muster::v1::DataSpec& data);

  // `selects` only decides what a query keeps whose selectable positives would all be dropped.
  TrainingJudgments Read(uint32_t query, Selects selects) const;

  // What becomes of the positives of a query, in ascending order of passages.
  std::vector<NoiseDecision> Decide(uint32_t query, Selects selects) const;

  // Of all queries of the split; `selects` as for the judgments without noise.
  NoiseCounts Count(Selects selects) const;

 private:
  LabelNoise(const Dataset& dataset, uint32_t split, const muster::v1::NoiseSpec& spec);
  void IndexRepeatedTexts();
  void IndexQueriesWithPositives();

  NoiseFate FateOf(uint64_t key) const;
  float ErrorOf(uint64_t key) const;
  bool Replace(uint32_t query, NoiseDecision& decision, std::vector<uint32_t>& taken) const;
  void KeepOne(uint32_t query, Selects selects, std::vector<NoiseDecision>& decisions) const;
  bool MayReplace(uint32_t query, uint32_t passage) const;
  std::span<const std::pair<uint64_t, uint32_t>> QueriesOfText(uint32_t query) const;
  bool TakeJudged(uint32_t query, uint32_t other, bool (*wanted)(const Judgment&), const std::vector<uint32_t>& taken,
                  NoiseDecision& decision) const;
  bool DrawPassage(uint32_t query, const std::vector<uint32_t>& taken, NoiseDecision& decision) const;
  bool DrawHardNegative(uint32_t query, const std::vector<uint32_t>& taken, NoiseDecision& decision) const;
  bool DrawOtherPositive(uint32_t query, const std::vector<uint32_t>& taken, NoiseDecision& decision) const;

  const Dataset* const dataset_;
  const uint32_t split_;
  const double random_passages_, hard_negatives_, other_positives_, dropped_, deviation_;
  const uint64_t key_;
  // Queries whose text, in normal form, several queries have: digest of the text and query, ascending.
  std::vector<std::pair<uint64_t, uint32_t>> repeated_texts_;
  std::vector<uint32_t> with_positives_;  // queries with a positive in the split; only if other_positives is above 0
};

}  // namespace muster
