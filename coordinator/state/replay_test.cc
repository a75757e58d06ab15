// The state after a restart equals the state before it: random events of a small cluster, decided by the core
// and committed to a store that is closed and opened again at random moments.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/version.h"
#include "coordinator/core/check_state.h"
#include "coordinator/core/step.h"
#include "coordinator/core/testing/snapshot.h"
#include "coordinator/state/store.h"

namespace muster {
namespace {

class World {
 public:
  World(std::filesystem::path folder, uint32_t seed) : folder_(std::move(folder)), draw_(seed) {
    least_ = std::array{0, 3, 20, 1000}[Below(4)];
    items_per_commit_ = 1 + Below(3);
    Restart();
  }

  void Run(int events) {
    for (int i = 0; i < events && !testing::Test::HasFailure(); ++i) {
      if (Below(40) == 0) {
        Restart();
      } else {
        Give(Draw());
      }
    }
    Restart();
  }
  size_t jobs() const { return store_->state().jobs.size(); }

 private:
  uint32_t Below(uint32_t bound) { return draw_() % bound; }
  bool Coin() { return Below(2) == 0; }
  std::string Worker() { return absl::StrCat("w", Below(3)); }
  // One of the newest jobs.
  std::string Job() { return absl::StrCat("j", last_job_ - std::min(last_job_, Below(6))); }

  void Restart() {
    std::string before;
    if (store_ != nullptr) {
      absl::StatusOr<State> expected = Reloaded(store_->state());
      ASSERT_TRUE(expected.ok()) << expected.status();
      ++expected->epoch;
      before = SnapshotBytes(*expected);
      store_.reset();
    }
    Store::Options options;
    options.folder = folder_;
    options.least_entries = least_;
    options.items_per_commit = items_per_commit_;
    auto store = Store::Open(options);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    if (!before.empty()) {
      ASSERT_EQ(SnapshotBytes(store_->state()), before);
    }
    ASSERT_TRUE(CheckDerived(store_->state()).ok()) << CheckDerived(store_->state());
    soft_ = Soft{.started = now_};
    for (int i = 0; i < 3; ++i) Give(Hello(absl::StrCat("w", i)));
  }

  Event Hello(const std::string& worker) {
    AgentHello event;
    event.session = ++session_;
    event.hello.set_worker(worker);
    event.hello.set_device("cpu");
    event.hello.set_slots(3);
    event.hello.set_instance(Below(8) == 0 ? "another" : "one");
    event.hello.set_protocol(kProtocol);
    return event;
  }

  Event Submit() {
    SubmitJob event;
    event.job_id = absl::StrCat("j", ++last_job_);
    event.owner = Coin() ? "ada" : "ben";
    event.request_id = Coin() ? "" : absl::StrCat("request", last_job_);
    event.spec.set_name("n");
    event.spec.mutable_duration()->set_steps(Below(3) * 10);
    event.spec.mutable_checkpoint()->set_keep(1 + Below(3));
    event.spec.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
    event.spec.mutable_resources()->mutable_slots()->set_min(1 + Below(4));
    event.spec.mutable_resources()->mutable_slots()->set_max(5);
    event.resolved.set_model_manifest(absl::StrCat("model", Below(3)));
    return event;
  }

  // A report about a running attempt, from one of its workers.
  Event Report() {
    const std::string job = Job();
    const JobRecord* record = FindJob(store_->state(), job);
    if (record == nullptr || !record->has_running()) return Tick{};
    const auto& running = record->running();
    const auto& ranks = record->job().attempts().rbegin()->ranks();
    const auto& rank = ranks[static_cast<int>(Below(ranks.size()))];
    AgentReport event{rank.worker(), soft_.workers.at(rank.worker()).session, {}};
    auto& report = event.report;
    report.set_sequence(++report_);
    report.set_job_id(job);
    report.set_attempt(running.number());
    switch (Below(running.has_started() ? 12 : 2)) {
      case 0: report.mutable_prepared(); break;
      case 1:
        if (Below(8) == 0) report.mutable_refused()->set_reason("no room");
        else report.mutable_prepared();
        break;
      case 2:
      case 3:
      case 4:
      case 5: report.mutable_rank_started()->set_rank(rank.rank()); break;
      case 6:
      case 7:
        report.mutable_rank_exited()->set_rank(rank.rank());
        report.mutable_rank_exited()->set_cause(Below(4) == 0 ? static_cast<muster::internal::v1::ExitCause>(1 + Below(6))
                                                              : muster::internal::v1::EXIT_CAUSE_SUCCESS);
        break;
      case 8:
      case 9:
        report.mutable_checkpoint()->mutable_checkpoint()->set_step(1 + Below(50));
        report.mutable_checkpoint()->mutable_checkpoint()->set_manifest(absl::StrCat("checkpoint", Below(50)));
        break;
      case 10: {
        auto& evaluation = *report.mutable_evaluation();
        evaluation.set_label(absl::StrCat("step-", Below(5)));
        evaluation.set_dataset("d");
        (*evaluation.mutable_metrics())["mrr"] = Below(100) / 100.0;
        break;
      }
      default: report.mutable_exported()->set_manifest(absl::StrCat("export", Below(4))); break;
    }
    return event;
  }

  Event Draw() {
    const std::string worker = Worker();
    switch (Below(20)) {
      case 0:
      case 1: return Submit();
      case 2: return JobCommand{1, static_cast<Verb>(Below(3)), Job(), "ada", Coin() ? "" : absl::StrCat(Below(9))};
      case 3: return Coin() ? Event(DeleteJob{1, Job(), "ada", ""}) : Event(RetireJobs{absl::Hours(Below(20))});
      case 4: return DrainWorker{1, worker, Below(3) > 0, "ada", Coin() ? "" : absl::StrCat(Below(9)), Coin()};
      case 5: return Hello(worker);
      case 6:
      case 7: return AgentHeartbeat{worker, soft_.workers.contains(worker) ? soft_.workers.at(worker).session : 0, {}};
      case 8: return BlobsCollected{absl::StrCat("checkpoint", Below(50))};
      case 9: now_ += absl::Seconds(Below(60)); return Tick{};
      case 10: return Tick{};
      default: return Report();
    }
  }

  void Give(const Event& event) {
    Decision decision = Step(store_->state(), soft_, event, now_);
    // The full records, with all of each job.
    std::map<std::string, std::string> whole;
    for (const Record& record : decision.records) {
      if (record.has_job()) whole[record.job().job().id()] = record.SerializeAsString();
    }
    if (!decision.records.empty()) store_->Commit(std::move(decision.records));
    for (const auto& [id, bytes] : whole) {
      Record expected;
      ASSERT_TRUE(expected.ParseFromString(bytes));
      ASSERT_EQ(store_->state().jobs.at(id).DebugString(), expected.job().DebugString());
    }
    if (decision.replan) Give(Plan{});
  }

  const std::filesystem::path folder_;
  std::mt19937 draw_;
  uint64_t least_ = 0;
  size_t items_per_commit_ = 1;
  std::unique_ptr<Store> store_;
  absl::Time now_ = absl::FromUnixSeconds(1000000);
  Soft soft_;
  uint64_t session_ = 0, report_ = 0;
  uint32_t last_job_ = 0;
};

TEST(Replay, GivesTheStateBeforeTheRestart) {
  size_t jobs = 0;
  for (uint32_t seed = 1; seed <= 60 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const auto folder = MakeScratchFolder(std::filesystem::temp_directory_path(), "replay");
    ASSERT_TRUE(folder.ok()) << folder.status();
    {
      World world(*folder, seed);
      world.Run(300);
      jobs += world.jobs();
    }
    std::filesystem::remove_all(*folder);
  }
  std::cout << "seeds from 1: " << jobs << " jobs\n";
}

}  // namespace
}  // namespace muster
