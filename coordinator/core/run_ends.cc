#include "coordinator/core/run_ends.h"

namespace muster {
namespace {

void CountWidth(uint32_t width, bool add, std::map<uint32_t, uint32_t>& widths) {
  uint32_t& count = widths[width];
  count += add ? 1 : -1;
  if (count == 0) widths.erase(width);
}

void ChangePlace(const std::pair<absl::Time, std::string>& place, bool add,
            std::set<std::pair<absl::Time, std::string>>& places) {
  if (add) {
    places.insert(place);
  } else {
    places.erase(place);
  }
}

}  // namespace

void RunEnds::Count(const std::string& job, const Attempt& attempt, bool add) {
  if (attempt.slots == 0) return;
  Group& group = groups_[attempt.group];
  group.slots += add ? attempt.slots : -static_cast<uint64_t>(attempt.slots);
  CountWidth(attempt.slots, add, group.widths);
  if (attempt.end.earliest == absl::InfinitePast()) {
    group.open_slots += add ? attempt.slots : -static_cast<uint64_t>(attempt.slots);
    CountWidth(attempt.slots, add, group.open_widths);
  } else {
    ChangePlace({attempt.end.earliest, job}, add, group.by_earliest);
  }
  if (attempt.end.latest != absl::InfiniteFuture()) ChangePlace({attempt.end.latest, job}, add, group.by_latest);
  if (group.slots == 0) groups_.erase(attempt.group);
}

void RunEnds::Set(const std::string& job, const Attempt& attempt) {
  Erase(job);
  attempts_[job] = attempt;
  Count(job, attempt, true);
}

void RunEnds::SetEnd(const std::string& job, const EndEstimate& end) {
  const auto known = attempts_.find(job);
  if (known == attempts_.end() || known->second.end == end) return;
  Count(job, known->second, false);
  known->second.end = end;
  Count(job, known->second, true);
}

void RunEnds::Erase(const std::string& job) {
  const auto known = attempts_.find(job);
  if (known == attempts_.end()) return;
  Count(job, known->second, false);
  attempts_.erase(known);
}

void RunEnds::Clear() {
  attempts_.clear();
  groups_.clear();
}

const RunEnds::Group* RunEnds::Find(const WorkerGroup& group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : &found->second;
}

}  // namespace muster
