#include "coordinator/core/reservation.h"

#include <algorithm>
#include <map>
#include <string>

namespace muster {
namespace {

// How many attempts one reservation looks at, beyond those whose slots the job needs. All later ones count as attempts
// that may end at any moment.
constexpr int kMostLooks = 1000;

using Widths = std::map<uint32_t, uint32_t>;

void Subtract(uint32_t width, Widths& widths) {
  const auto found = widths.find(width);
  if (found == widths.end()) return;
  if (--found->second == 0) widths.erase(found);
}

}  // namespace

Reservation::Reservation(uint32_t min, uint32_t max, const GroupSupply& supply, const RunEnds& ends, absl::Time now)
    : min_(min), max_(std::max(min, std::min(max, supply.usable))) {
  if (supply.usable < min) return;  // too few slots here for the reserved job
  const RunEnds::Group none;
  const RunEnds::Group* found = ends.Find(supply.group);
  const RunEnds::Group& running = found == nullptr ? none : *found;
  const uint64_t known = supply.free + running.slots;
  const uint64_t units = supply.usable > known ? supply.usable - known : 0;

  // The earliest time at which enough slots may be free.
  earliest_ = now;
  uint64_t may = supply.free + units + running.open_slots;
  for (auto next = running.by_earliest.begin(); may < min && next != running.by_earliest.end(); ++next) {
    may += ends.at(next->second).slots;
    earliest_ = std::max(now, next->first);
  }
  // The time at which enough slots are certainly free. An attempt that runs for longer than expected may take any time.
  absl::Time surely = absl::InfiniteFuture();
  uint64_t must = supply.free;
  const auto credible = running.by_latest.lower_bound({now, ""});
  for (auto next = credible; must < min && next != running.by_latest.end(); ++next) {
    must += ends.at(next->second).slots;
    if (must >= min) surely = next->first;
  }
  if (supply.free >= min) surely = now;

  // Attempts that have certainly ended when the job can start, and attempts that may have. The job does not wait for any
  // others.
  base_ = supply.free;
  Widths ended;
  for (auto next = credible; next != running.by_latest.end() && next->first <= earliest_; ++next) {
    base_ += ends.at(next->second).slots;
    ++ended[ends.at(next->second).slots];
  }
  Widths open = running.open_widths;
  int looks = 0;
  bool all = surely == absl::InfiniteFuture();
  for (auto next = running.by_earliest.begin(); !all && next != running.by_earliest.end() && next->first <= surely; ++next) {
    ++open[ends.at(next->second).slots];
    all = ++looks > kMostLooks;
  }
  if (all) open = running.widths;
  for (const auto& [width, count] : ended) {
    for (uint32_t i = 0; i < count; ++i) Subtract(width, open);
  }
  sums_.set(0);
  AddWidth(1, units);
  for (const auto& [width, count] : open) AddWidth(width, count);
  FindSpare();
}

void Reservation::AddWidth(uint32_t slots, uint64_t count) {
  for (uint64_t part = 1; count > 0; part *= 2) {  // 1, 2, 4, …, and the remainder, so that every number up to `count` is a sum
    const uint64_t taken = std::min(part, count);
    if (taken * slots >= kSums) break;  // no job is that wide
    sums_ |= sums_ << (taken * slots);
    count -= taken;
  }
}

void Reservation::FindSpare() {
  spare_ = 0;
  for (int64_t more = std::max<int64_t>(0, min_ - base_); more < static_cast<int64_t>(kSums); ++more) {
    if (!sums_.test(static_cast<size_t>(more))) continue;
    spare_ = static_cast<uint32_t>(std::max<int64_t>(0, base_ + more - max_));
    return;
  }
}

void Reservation::Take(uint32_t slots) {
  if (spare_ == UINT32_MAX) return;
  base_ -= slots;
  AddWidth(slots, 1);
  FindSpare();
}

}  // namespace muster
