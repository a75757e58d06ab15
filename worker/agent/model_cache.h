// STATE/cache: folders of models and tokenizers, named by the digest of their manifest. Ranks fetch them
// (rank/link/cache.h), and the agent limits their size.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/agent/core/agent_types.h"

namespace muster {

// Which cached folders ranks use, by the digest of their manifest. Thread-safe.
class ModelsInUse {
 public:
  void Use(const RankKey& rank, std::vector<std::string> digests);
  void Release(const RankKey& rank);
  // Calls `act` if no rank uses the folder; no rank can start to use it meanwhile.
  void IfUnused(const std::string& digest, const std::function<void()>& act);

 private:
  absl::Mutex mutex_;
  std::map<RankKey, std::vector<std::string>> digests_ ABSL_GUARDED_BY(mutex_);
};

// A rank is about to use it: it becomes the last to be removed.
void MarkUsed(const std::filesystem::path& cache, const std::string& digest, absl::Time now);

// Removes the least recently used folders until the others have at most `budget` bytes. Folders in `in_use`, and those
// that a rank is fetching, stay. A folder moves to `trash`, on the same volume, before its files are removed, so that
// no rank finds half of it. Returns the number of freed bytes.
uint64_t PruneCache(const std::filesystem::path& cache, uint64_t budget, ModelsInUse& in_use,
                    const std::filesystem::path& trash);

}  // namespace muster
