// The expected ends of running attempts, updated as they report progress, so that a plan visits few of them.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "coordinator/core/cluster_index.h"

namespace muster {

// An attempt ends no earlier and no later than this, as far as its progress tells.
struct EndEstimate {
  absl::Time earliest = absl::InfinitePast();  // infinite past: at any moment
  absl::Time latest = absl::InfiniteFuture();  // infinite future: unknown
  bool operator==(const EndEstimate&) const = default;
};

class RunEnds {
 public:
  struct Attempt {
    WorkerGroup group;
    uint32_t slots = 0;  // slots that other jobs could use after its end
    EndEstimate end;
  };
  // The attempts on one group of workers.
  struct Group {
    uint64_t slots = 0;       // of all
    uint64_t open_slots = 0;  // of those that may end at any moment
    std::map<uint32_t, uint32_t> widths, open_widths;  // number of slots → how many attempts have it
    std::set<std::pair<absl::Time, std::string>> by_earliest, by_latest;  // jobs, where the time is finite
  };

  // Replaces the estimate for the job's attempt.
  void Set(const std::string& job, const Attempt& attempt);
  // Updates the estimate after a progress report. No effect for a job without an attempt here.
  void SetEnd(const std::string& job, const EndEstimate& end);
  void Erase(const std::string& job);
  void Clear();

  size_t size() const { return attempts_.size(); }
  const Group* Find(const WorkerGroup& group) const;  // null: nothing runs there
  const Attempt& at(const std::string& job) const { return attempts_.at(job); }

 private:
  void Count(const std::string& job, const Attempt& attempt, bool add);

  std::map<std::string, Attempt> attempts_;
  std::map<WorkerGroup, Group> groups_;
};

}  // namespace muster
