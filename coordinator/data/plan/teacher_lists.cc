#include "coordinator/data/plan/teacher_lists.h"

#include <algorithm>

namespace muster {

TeacherListCounts CountTeacherLists(const Dataset& dataset, uint32_t split, const ChoiceRules& rules,
                                    const std::vector<uint32_t>& queries, muster::v1::DistillKind kind) {
  TeacherListCounts counts;
  for (const uint32_t query : queries) {
    if (std::ranges::none_of(dataset.scores(split, query), HasScore)) continue;
    const TrainingJudgments read = ReadJudgments(dataset, split, query, rules);
    const PassagesOfQuery judged = JudgedPassages(read.judgments, rules, read.scores);
    counts.scores += judged.scored.size();
    const auto scored = [&](uint32_t passage) { return judged.ScoreOf(passage).has_value(); };
    uint64_t positives = std::ranges::count_if(judged.selectable, scored, &PassagesOfQuery::Positive::passage);
    const uint64_t others =
        std::min<uint64_t>(rules.negatives_per_query, std::ranges::count_if(judged.negatives, scored));
    const uint32_t most = rules.draw_one ? 1 : rules.positives_per_query;
    if (most > 0) positives = std::min<uint64_t>(positives, most);
    const bool margins = kind == muster::v1::DISTILL_KIND_MARGIN_MSE;
    counts.queries += margins ? positives > 0 && others > 0 : positives + others > 1;
  }
  return counts;
}

}  // namespace muster
