// The one thread that owns the coordinator's state: takes events in order, lets Step decide, commits the records, and
// carries out the effects once the records are durable.
//
//   gRPC threads ─► queue (bounded) ─┐
//   heartbeats ───► their own lane ──┼─► loop: Step → Commit ─► waiting effects ─(durable)─► replies, sessions, …
//   timer, once per second ────────────┘                  └────► writer thread of the store
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "coordinator/core/event.h"
#include "coordinator/core/soft.h"
#include "coordinator/runtime/metrics.h"
#include "coordinator/service/backend.h"
#include "coordinator/service/rendezvous.h"
#include "coordinator/service/sessions.h"
#include "coordinator/service/watch_feed.h"
#include "coordinator/state/store.h"

namespace muster {

class EventLoop final : public Backend {
 public:
  struct Options {
    Store::Options store;
    Sessions* sessions = nullptr;
    RendezvousStore* rendezvous = nullptr;
    WatchFeed* feed = nullptr;
    CoordinatorMetrics* metrics = nullptr;
    std::function<void(const std::string& manifest)> collect;  // deletes a dropped checkpoint's blobs, at some later time
    std::function<void()> on_turn = [] {};                     // at every tick of the loop, by the loop
    // Adds each assignment's ticket to what is sent to a worker; called on the loop's thread.
    std::function<void(muster::v1::DesiredState& desired, const std::string& worker)> sign;
    std::string data_address;  // sent to every agent
    absl::Duration no_progress = kNoProgress;
    uint64_t min_free_bytes = 64 << 20;
    absl::Duration tick = absl::Seconds(1);
    const Clock* clock = nullptr;
    size_t capacity = 10000;  // events in the queue
  };
  static absl::StatusOr<std::unique_ptr<EventLoop>> Start(Options options);
  ~EventLoop() override;

  absl::StatusOr<std::string> Call(Event event) override;
  absl::Status Query(const Look& look) override;
  void Post(Event event) override;
  absl::Status CheckRoom() const override;

  // From now on every Call is answered with UNAVAILABLE, reason SHUTTING_DOWN. Queries and agents are still served.
  void RefuseChanges();

  // Accepts no more events, answers waiting ones with UNAVAILABLE, flushes, and ends the thread. Idempotent.
  void Stop();

 private:
  struct Waiter {
    bool done = false;
    absl::Status status;
    std::string subject;
  };
  struct Question {
    const Look* look;
    uint64_t token;
  };
  using Item = std::variant<Event, Question>;
  struct Delayed {
    uint64_t after;  // sequence number that must be durable
    std::function<void()> act;
  };

  explicit EventLoop(Options options);
  absl::Time Now() const;
  void Finish(uint64_t token, absl::Status status, std::string subject);
  void OnDurable(uint64_t sequence);

  // Only for the loop's thread.
  void Run();
  void Begin();
  void Handle(const Event& event);
  // Before each tick: reports to the core if since the last one the loop was frozen, or did not empty its queue, or the
  // disk did not flush the loop's records.
  void NoteDeafTime();
  void Plan();
  void Later(std::function<void()> act);
  void RunDelayed(uint64_t durable);
  void CountTransitions(const std::vector<Record>& records);
  void Schedule(Effect effect);

  Options options_;
  const absl::Time wall_start_;
  const absl::Duration monotonic_start_;
  std::unique_ptr<Store> store_;
  Soft soft_;
  std::deque<Delayed> delayed_;
  bool replan_ = false;
  absl::Time ticked_at_;
  bool drained_ = false;  // the queue has been empty since the last tick
  uint64_t durable_by_next_tick_ = 0;  // sequence number of a record
  absl::Duration deaf_for_;            // up to the last tick
  std::string deaf_why_;  // empty: it keeps up

  absl::Mutex mutex_;
  std::deque<Item> queue_ ABSL_GUARDED_BY(mutex_);
  std::deque<Event> heartbeats_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Waiter*> waiters_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_token_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t durable_ ABSL_GUARDED_BY(mutex_) = 0;
  bool news_ ABSL_GUARDED_BY(mutex_) = false;  // durable_ grew
  bool refusing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace muster
