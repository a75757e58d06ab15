// Counts keys of the files that no schema reads, so that nothing is lost silently.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "coordinator/data/import/record.h"

namespace muster {

// Not thread-safe.
class UnreadKeys {
 public:
  // Call after a record was read.
  void Count(const InputRecord& record);
  // "keys that are not read: images (3 records), …", the most frequent ones first. Nothing if there are none.
  void AddNote(std::vector<std::string>& notes) const;

 private:
  absl::flat_hash_map<std::string, uint64_t> records_;  // by key
  bool more_ = false;                                   // keys beyond the first kMaxKeys
};

}  // namespace muster
