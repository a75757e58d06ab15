// Shared values that are costly to make: made once per key, in a separate thread, and kept while they are used.
#pragma once

#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace muster {

// Thread-safe. Keeps the `capacity` values that were requested last; others live as long as somebody holds them.
template <typename Value>
class OnceCache {
 public:
  using Make = std::function<absl::StatusOr<std::shared_ptr<Value>>()>;

  explicit OnceCache(size_t capacity) : capacity_(capacity) {}
  ~OnceCache() {  // waits for values that are being made
    for (auto& [key, entry] : entries_) Join(*entry);
  }

  // The value of the key. Callers that ask while it is being made wait for it. `give_up` is called regularly; if it
  // returns an error, Get returns that error at once, while the value is still being made. After an error the next call
  // makes it again.
  absl::StatusOr<std::shared_ptr<Value>> Get(const std::string& key, Make make,
                                             const std::function<absl::Status()>& give_up) {
    const std::shared_ptr<Entry> entry = EntryOf(key, std::move(make));
    while (true) {
      if (absl::Status status = give_up(); !status.ok()) return status;
      absl::MutexLock lock(&entry->mutex);
      const auto is_done = [&entry]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(entry->mutex) { return entry->done; };
      if (entry->mutex.AwaitWithTimeout(absl::Condition(&is_done), absl::Milliseconds(50))) return entry->value;
    }
  }

  // Drops the values that nobody else holds.
  void DropUnused() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    for (auto it = entries_.begin(); it != entries_.end();) {
      const auto next = std::next(it);
      if (IsUnused(*it->second)) {
        Join(*it->second);
        entries_.erase(it);
      }
      it = next;
    }
  }

 private:
  struct Entry {
    absl::Mutex mutex;
    bool done ABSL_GUARDED_BY(mutex) = false;
    absl::StatusOr<std::shared_ptr<Value>> value ABSL_GUARDED_BY(mutex) = absl::UnknownError("not made yet");
    std::thread thread;
    uint64_t last_use = 0;
  };

  static void Join(Entry& entry) {
    if (entry.thread.joinable()) entry.thread.join();
  }
  // The first is true when the value is done; the second tells whether it is a value or an error.
  static std::pair<bool, bool> Look(Entry& entry) {
    absl::MutexLock lock(&entry.mutex);
    return {entry.done, entry.done && entry.value.ok()};
  }

  static bool IsUnused(Entry& entry) {
    absl::MutexLock lock(&entry.mutex);
    return entry.done && (!entry.value.ok() || entry.value->use_count() == 1);
  }

  std::shared_ptr<Entry> EntryOf(const std::string& key, Make make) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    std::shared_ptr<Entry>& entry = entries_[key];
    if (entry != nullptr) {
      const auto [done, ok] = Look(*entry);
      if (done && !ok) {
        Join(*entry);
        entry.reset();
      }
    }
    if (entry == nullptr) {
      entry = std::make_shared<Entry>();
      // The entry outlives the thread: remove it from the map only after joining.
      entry->thread = std::thread([made = entry.get(), make = std::move(make)] {
        absl::StatusOr<std::shared_ptr<Value>> value = make();
        absl::MutexLock made_lock(&made->mutex);
        made->value = std::move(value);
        made->done = true;
      });
    }
    entry->last_use = ++uses_;
    const std::shared_ptr<Entry> kept = entry;
    DropOldest();
    return kept;
  }

  // Keeps values that are still being made.
  void DropOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    while (entries_.size() > capacity_) {
      auto oldest = entries_.end();
      for (auto it = entries_.begin(); it != entries_.end(); ++it) {
        if (Look(*it->second).first && (oldest == entries_.end() || it->second->last_use < oldest->second->last_use)) {
          oldest = it;
        }
      }
      if (oldest == entries_.end()) return;
      Join(*oldest->second);
      entries_.erase(oldest);
    }
  }

  const size_t capacity_;
  absl::Mutex mutex_;
  uint64_t uses_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<std::string, std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace muster
