#include "coordinator/state/item_schedule.h"

namespace muster {

void ItemSchedule::NoteEntry(const std::string& key, uint64_t sequence, uint64_t bytes) {
  newest_ = sequence;
  paid_ += kPaid * bytes;
  if (changed_.try_emplace(key, sequence).second) oldest_.emplace(sequence, key);
}

}  // namespace muster
