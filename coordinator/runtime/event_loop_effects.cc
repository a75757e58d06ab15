// Carries out the core's decisions.
#include <spdlog/spdlog.h>

#include <utility>

#include "common/log.h"
#include "coordinator/core/desired.h"
#include "coordinator/core/view.h"
#include "coordinator/runtime/event_loop.h"

namespace muster {

// Values are computed now, from the decided state, and sent when it is durable.
void EventLoop::Schedule(Effect effect) {
  struct Visitor {
    EventLoop* loop;
    Options& o;
    void operator()(Reply& reply) { loop->replies_.push_back(std::move(reply)); }
    void operator()(const Welcome& welcome) {
      muster::internal::v1::CoordinatorMessage message;
      message.mutable_welcome()->set_epoch(loop->store_->state().epoch);
      message.mutable_welcome()->set_heartbeat_milliseconds(
          static_cast<uint32_t>(absl::ToInt64Milliseconds(kHeartbeat)));
      message.mutable_welcome()->add_data_addresses(o.data_address);
      loop->Later([&o = o, session = welcome.session, message] {
        if (const auto outbox = o.sessions->Find(session)) outbox->Push(message);
      });
    }
    void operator()(const AckReport& ack) {
      loop->Later([&o = o, ack] {
        if (const auto outbox = o.sessions->Find(ack.session)) outbox->PushAck(ack.sequence);
      });
    }
    void operator()(const PushDesired& push) {
      muster::internal::v1::DesiredState desired = DesiredStateOf(loop->store_->state(), push.worker);
      o.sign(desired, push.worker);
      loop->Later([&o = o, push, desired = std::move(desired)] {
        if (const auto outbox = o.sessions->Find(push.session)) outbox->PushDesired(desired, push.repeat);
      });
    }
    void operator()(const CloseSession& close) {
      loop->Later([&o = o, session = close.session] { o.sessions->Close(session); });
    }
    void operator()(const OpenRendezvous& open) {
      loop->Later([&o = o, open, workers = WorkersOf(loop->store_->state(), open.job_id, open.attempt)] {
        o.rendezvous->Open(open.job_id, open.attempt, workers);
      });
    }
    void operator()(const CloseRendezvous& close) {
      loop->Later([&o = o, close] { o.rendezvous->Close(close.job_id, close.attempt); });
    }
    void operator()(const CollectBlobs& collect) {
      loop->Later([&o = o, manifest = collect.manifest] { o.collect(manifest); });
    }
    void operator()(const CountStale& stale) {
      o.metrics->CountStaleRequest(stale.kind);
      const ScopedLogFields scope({.job = stale.job, .attempt = stale.attempt});
      spdlog::warn("refused a stale {} from {}", stale.kind, stale.detail);
    }
    void operator()(const CountAttempt& count) { o.metrics->CountAttemptEnd(count.end); }
    void operator()(const ObserveQueueWait& observe) { o.metrics->ObserveQueueWaiting(observe.wait); }
    void operator()(const Measured& measured) { o.metrics->Take(measured); }
    void operator()(const StepReported& reported) { o.history->Record(reported.job_id, reported.point); }
    void operator()(const WaitingChanged&) {
      for (const std::string& id : o.feed->WatchedJobs()) {
        const JobRecord* record = FindJob(loop->store_->state(), id);
        if (record == nullptr || !IsWaiting(*record)) continue;
        absl::StatusOr<muster::v1::Job> job = ViewJob(loop->store_->state(), loop->soft_, id);
        if (job.ok()) loop->Later([&o = o, job = *std::move(job)] { o.feed->PublishReason(job); });
      }
    }
    void operator()(const JobChanged& changed) {
      if (!o.feed->Watched(changed.job_id)) return;
      absl::StatusOr<muster::v1::Job> job = ViewJob(loop->store_->state(), loop->soft_, changed.job_id);
      if (job.ok()) loop->Later([&o = o, job = *std::move(job)] { o.feed->Publish(job); });
    }
  };
  std::visit(Visitor{this, options_}, effect);
}

}  // namespace muster
