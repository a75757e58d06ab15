// Runs attempts of one wide job from placement to end, decided by the core and committed to a store, to measure what a gang
// writes to the journal. Workers have 8 slots each. The store may have other jobs, which have ended.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/version.h"
#include "coordinator/core/step.h"
#include "coordinator/state/store.h"

namespace muster {

class GangLife {
 public:
  GangLife(Store& store, uint32_t ranks, const std::string& id = "gang") : store_(store), ranks_(ranks), id_(id) {
    soft_.started = now_;
    for (uint32_t worker = 0; worker < Workers(); ++worker) {
      AgentHello event;
      event.session = worker + 1;
      event.hello.set_worker(Name(worker));
      event.hello.set_device("cpu");
      event.hello.set_slots(8);
      event.hello.set_instance(id_);  // reports count from 1
      event.hello.set_protocol(kProtocol);
      Give(event);
    }
    SubmitJob submit;
    submit.job_id = id_;
    submit.owner = "ada";
    submit.spec.set_name("gang");
    submit.spec.mutable_duration()->set_steps(1000);
    submit.spec.mutable_checkpoint()->set_keep(2);
    submit.spec.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
    submit.spec.mutable_resources()->mutable_slots()->set_min(ranks);
    submit.spec.mutable_resources()->mutable_slots()->set_max(ranks);
    Give(submit);
  }

  // The attempt that is placed starts on all ranks and stores a checkpoint; then a rank fails, and the next attempt is
  // placed once all agents have reported that nothing is running.
  void FailOneAttempt() {
    StartAllRanks();
    StoreCheckpoint();
    Report(0, [](auto& report) {
      report.mutable_rank_exited()->set_rank(0);
      report.mutable_rank_exited()->set_cause(muster::internal::v1::EXIT_CAUSE_SIGNAL);
    });
    now_ += absl::Seconds(1);
    for (uint32_t worker = 0; worker < Workers(); ++worker) Give(AgentHeartbeat{Name(worker), worker + 1, {}});
    Give(Tick{});
  }

  // The attempt that is placed trains, exports and ends with success.
  void Succeed() {
    StartAllRanks();
    StoreCheckpoint();
    Report(0, [](auto& report) { report.mutable_exported()->set_manifest("export"); });
    for (uint32_t rank = 0; rank < ranks_; ++rank) {
      Report(rank, [&](auto& report) {
        report.mutable_rank_exited()->set_rank(rank);
        report.mutable_rank_exited()->set_cause(muster::internal::v1::EXIT_CAUSE_SUCCESS);
      });
    }
  }

  const JobRecord& job() const { return store_.state().jobs.at(id_); }

 private:
  uint32_t Workers() const { return (ranks_ + 7) / 8; }
  static std::string Name(uint32_t worker) { return absl::StrCat("w", worker); }

  void Give(const Event& event) {
    Decision decision = Step(store_.state(), soft_, event, now_);
    if (!decision.records.empty()) store_.Commit(std::move(decision.records));
    if (decision.replan) Give(Plan{});
  }
  // Sends a report from the worker that has the rank.
  template <typename Fill>
  void Report(uint32_t rank, Fill fill) {
    const std::string worker = job().job().attempts().rbegin()->ranks(static_cast<int>(rank)).worker();
    AgentReport event{worker, soft_.workers.at(worker).session, {}};
    event.report.set_sequence(++sequence_);
    event.report.set_job_id(id_);
    event.report.set_attempt(job().last_attempt());
    fill(event.report);
    Give(event);
  }
  void StartAllRanks() {
    for (uint32_t rank = 0; rank < ranks_; rank += 8) {
      Report(rank, [](auto& report) { report.mutable_prepared(); });
    }
    for (uint32_t rank = 0; rank < ranks_; ++rank) {
      Report(rank, [&](auto& report) { report.mutable_rank_started()->set_rank(rank); });
    }
  }
  void StoreCheckpoint() {
    Report(0, [&](auto& report) {
      report.mutable_checkpoint()->mutable_checkpoint()->set_step(++step_);
      report.mutable_checkpoint()->mutable_checkpoint()->set_manifest(absl::StrCat("checkpoint", step_));
    });
  }

  Store& store_;
  const uint32_t ranks_;
  const std::string id_;
  absl::Time now_ = absl::FromUnixSeconds(1000000);
  Soft soft_;
  uint64_t sequence_ = 0, step_ = 0;
};

}  // namespace muster
