// What the slots of running attempts are used for, added up where it changes, so that the account of a second does not visit
// the attempts. Part of the soft state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace muster {

enum class SlotUse { kStart, kTrain, kEvaluate, kCheckpoint, kData };
inline constexpr size_t kSlotUses = 5;
// The value of the label `phase` of muster_goodput_seconds_total.
const char* NameOf(SlotUse use);

struct AttemptUse {
  uint32_t slots = 0;
  SlotUse use = SlotUse::kStart;
  double data_share = 0;  // of kTrain: the share of a step that waits for data, 0 to 1
};

// Not thread-safe.
class Goodput {
 public:
  // The job's record changes by the present decision: Set() or Erase() is due before the next account.
  void Touch(const std::string& job) { touched_.insert(job); }
  std::set<std::string> TakeTouched();

  void Set(const std::string& job, const AttemptUse& use);
  void Erase(const std::string& job);
  size_t size() const { return attempts_.size(); }

  // Lets `seconds` pass. Slot-seconds by SlotUse, over all attempts.
  std::array<double, kSlotUses> Pass(double seconds);

  // Slot-seconds that the job's attempt has trained since its last checkpoint; 0 for an unknown job.
  double AtRisk(const std::string& job) const;
  // A checkpoint was stored: at most `slot_seconds` of training are not in it.
  void LimitAtRisk(const std::string& job, double slot_seconds);

 private:
  struct Attempt {
    AttemptUse use;
    double at_risk = 0;  // until `since`
    double since = 0;    // a value of clock_
  };
  double AtRisk(const Attempt& attempt) const;
  void Count(const AttemptUse& use, int64_t sign);

  double clock_ = 0;  // seconds that have passed
  std::map<std::string, Attempt> attempts_;
  std::array<int64_t, kSlotUses> slots_ = {};
  int64_t data_parts_ = 0;  // slots that train, each times its share of data in kShareParts: whole numbers do not drift
  std::set<std::string> touched_;
};

}  // namespace muster
