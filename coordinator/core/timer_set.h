// For each name, the time when it must be checked next.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace muster {

class TimerSet {
 public:
  void Set(const std::string& name, absl::Time time) {
    const auto [known, fresh] = times_.try_emplace(name, time);
    if (!fresh) order_.erase({known->second, name});
    known->second = time;
    order_.insert({time, name});
  }
  void Erase(const std::string& name) {
    const auto known = times_.find(name);
    if (known == times_.end()) return;
    order_.erase({known->second, name});
    times_.erase(known);
  }
  void Clear() {
    times_.clear();
    order_.clear();
  }
  // The names whose time has come. Each keeps its time until it is set again.
  std::set<std::string> Due(absl::Time now) const {
    std::set<std::string> due;
    for (const auto& [time, name] : order_) {
      if (time > now) break;
      due.insert(name);
    }
    return due;
  }
  const std::set<std::pair<absl::Time, std::string>>& order() const { return order_; }
  size_t size() const { return times_.size(); }

 private:
  std::map<std::string, absl::Time> times_;
  std::set<std::pair<absl::Time, std::string>> order_;
};

}  // namespace muster
