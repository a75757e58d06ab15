// The one thread that owns the coordinator's state: takes events in order, lets Step decide, commits the records, and
// carries out the effects once the records are durable.
//
//   heartbeats ───► newest per session ──┐
//   progress ─────► newest per attempt ──┤
//   hellos, reports ──► agents' lane ────┼─► loop: Step → Commit ─► waiting effects ─(durable)─► replies, sessions, …
//   users' calls ─► queue (bounded) ─────┤                  └────► writer thread of the store
//   timer, once per second ───────────────┘
//
// A turn takes the lanes in this order, with the items that waited when it began. So an agent's progress is handled before its
// report of the end, in the order of sending. A heartbeat or progress report replaces the previous one if the loop has not
// reached it, so their number is bounded by sessions and attempts, and no reader of a session ever waits: overload must not
// look like silence. They do not wake the loop, and wait up to 50 ms for a turn, which then takes all of them. The time for
// other items is limited per turn, so that a storm of one kind delays neither heartbeats nor ticks.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
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
#include "coordinator/service/metrics_history.h"
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
    // Adds a ticket to each assignment that is sent to a worker; called on the loop's thread.
    std::function<void(muster::internal::v1::DesiredState& desired, const std::string& worker)> sign;
    std::string data_address;  // sent to every agent
    MetricsHistory* history = nullptr;  // of each job's metrics by step
    absl::Duration no_progress = kNoProgress;
    uint64_t min_free_bytes = 64 << 20;
    absl::Duration tick = absl::Seconds(1);
    const Clock* clock = nullptr;
    size_t capacity = 10000;  // events in the queue
  };
  static absl::StatusOr<std::unique_ptr<EventLoop>> Start(Options options);
  ~EventLoop() override;

  absl::StatusOr<std::string> Call(Event event, const LookAtSubject& look = nullptr) override;
  absl::Status Query(const Look& look) override;
  void Post(Event event) override;
  absl::Status CheckRoom() const override;

  // The current gauges, computed on the loop's thread. Empty: the loop stops, or does not reach it within `wait`.
  std::vector<GaugeSample> TakeGauges(absl::Duration wait);

  // Makes every later Call return UNAVAILABLE, reason SHUTTING_DOWN. Queries and agents are still served.
  void RefuseChanges();

  // Accepts no more events, answers waiting ones with UNAVAILABLE, flushes, and ends the thread. Idempotent.
  void Stop();

 private:
  struct Waiter {
    bool done = false;
    absl::Status status;
    std::string subject;
    LookAtSubject look;
  };
  struct Question {
    const Look* look;
    uint64_t token;
  };
  using Item = std::variant<Event, Question>;
  using ProgressKey = std::tuple<uint64_t, std::string, uint32_t>;  // session, job, attempt
  struct Delayed {
    uint64_t after;  // sequence number that must be durable
    std::function<void()> act;
  };

  explicit EventLoop(Options options);
  absl::Time Now() const;
  void Finish(uint64_t token, absl::Status status, std::string subject);
  // Runs the looks of the turn's calls and answers the calls.
  void AnswerCalls();
  void OnDurable(uint64_t sequence);

  // Only for the loop's thread.
  void Run();
  void Begin();
  void Handle(const Event& event);
  void HandleItem(const Item& item);
  // Handles the `count` oldest items of a lane. False: `longest` passed before the last of them.
  bool Work(std::deque<Item>& lane, size_t count, absl::Duration longest);
  // Whether the session of a hello has ended: its agent has given it up and connects again.
  bool IsDead(const Event& event) const;
  void FillGauges();
  // Called before each tick. Reports to the core if, since the last tick, the loop was frozen or did not empty its queue, or
  // the disk did not flush the loop's records.
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
  std::vector<Reply> replies_;         // of this turn
  bool replan_ = false;
  absl::Time ticked_at_;
  bool drained_ = false;               // whether a turn since the last tick handled everything that was queued at its start
  uint64_t durable_by_next_tick_ = 0;  // the record that must be on disk by the next tick
  absl::Duration deaf_for_;            // how long the loop has not kept up, until the last tick
  std::string deaf_why_;  // empty: the loop keeps up

  absl::Mutex mutex_;
  std::deque<Item> queue_ ABSL_GUARDED_BY(mutex_);   // users' calls and questions
  std::deque<Item> agents_ ABSL_GUARDED_BY(mutex_);  // hellos, reports and ends of sessions, in order
  std::map<uint64_t, Event> heartbeats_ ABSL_GUARDED_BY(mutex_);  // by session
  std::map<ProgressKey, Event> progress_ ABSL_GUARDED_BY(mutex_);
  bool gauges_wanted_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<GaugeSample> gauges_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Waiter*> waiters_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_token_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t durable_ ABSL_GUARDED_BY(mutex_) = 0;
  bool news_ ABSL_GUARDED_BY(mutex_) = false;  // durable_ grew
  bool refusing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace muster
