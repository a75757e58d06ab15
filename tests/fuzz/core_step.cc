// The coordinator's decisions: a cluster of three workers whose agents send anything in any order, and users who submit
// and command. Laws: no slot has two ranks, every rank of a placement has a slot of its worker, the state that the
// records give is the one that a replay of the journal and of a snapshot gives, and equal inputs give equal decisions.
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/deterministic_bytes.h"
#include "coordinator/core/check_state.h"
#include "coordinator/core/desired.h"
#include "coordinator/core/gang.h"
#include "coordinator/core/job_change.h"
#include "coordinator/core/step.h"
#include "coordinator/core/testing/snapshot.h"
#include "coordinator/core/job_list.h"
#include "coordinator/core/view.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/random_message.h"

namespace muster {
namespace {

const KnownStrings& Known() {
  static const KnownStrings known = {"w0", "w1", "w2", "j0", "j1", "j2", "j3", "ada", "ben", "m1", "m2", "cpu", "gpu", ""};
  return known;
}

class Cluster {
 public:
  void Run(ByteSource& source) {
    while (!source.empty() && events_ < 400) {
      Give(Draw(source));
      ++events_;
    }
    CheckReplay();
    for (const std::string worker : {"w0", "w1", "w2"}) DesiredStateOf(state_, worker);
    ViewWorkers(state_, soft_, now_);
    PageOfQueues(state_, {}).IgnoreError();
    ViewJobs(state_, soft_, {}).IgnoreError();
  }

 private:
  std::string Worker(ByteSource& source) { return absl::StrCat("w", source.Below(3)); }
  std::string Job(ByteSource& source) { return absl::StrCat("j", source.Below(4)); }

  Event Draw(ByteSource& source) {
    switch (source.Below(12)) {
      case 0: return Submit(source);
      case 1:
        return JobCommand{1, static_cast<Verb>(source.Below(3)), Job(source), source.Coin() ? "ada" : "ben",
                          source.Coin() ? "" : absl::StrCat(source.Byte())};
      case 2: return DrainWorker{2, Worker(source), source.Coin(), "ada", source.Coin() ? "" : "r"};
      case 3: return Hello(source);
      case 4: {
        AgentHeartbeat event{Worker(source), 0, {}};
        event.session = Session(event.worker, source);
        FillMessage(source, Known(), event.heartbeat);
        return event;
      }
      case 5: return AnyReport(source);
      case 6:
      case 7: return FittingReport(source);
      case 8: {
        AgentProgress event{Worker(source), 0, {}};
        event.session = Session(event.worker, source);
        FillMessage(source, Known(), event.progress);
        return event;
      }
      case 9: {
        AgentGone event{Worker(source), 0};
        event.session = Session(event.worker, source);
        return event;
      }
      case 10:
        switch (source.Below(5)) {
          case 0: return Plan{};
          case 1: return RetireJobs{absl::Seconds(source.Byte())};
          case 2: {
            const absl::Time from = now_;
            now_ += absl::Seconds(source.Byte());
            return Overslept{from};
          }
          case 3: return DataServerSeen{"d:1", source.Coin()};
          default: return BlobsCollected{Known()[source.Below(Known().size())]};
        }
      default:
        now_ += absl::Milliseconds(source.Take<uint16_t>()) * (source.Coin() ? 20 : 1);
        return Tick{};
    }
  }

  // The service accepts only a valid specification.
  Event Submit(ByteSource& source) {
    SubmitJob event;
    event.token = 3;
    event.job_id = Job(source);
    event.owner = source.Coin() ? "ada" : "ben";
    event.request_id = source.Coin() ? "" : absl::StrCat(source.Below(4));
    event.spec.set_name("n");
    event.spec.mutable_data()->set_train("d");
    event.spec.mutable_model()->set_from("m");
    event.spec.mutable_duration()->set_steps(source.Below(2) * 10);
    auto& resources = *event.spec.mutable_resources();
    resources.mutable_slots()->set_min(1 + source.Below(6));
    resources.mutable_slots()->set_max(resources.slots().min() + source.Below(3));
    resources.set_device(source.Coin() ? muster::v1::DEVICE_CPU : muster::v1::DEVICE_GPU);
    resources.set_priority(static_cast<int8_t>(source.Byte()));
    event.spec.mutable_checkpoint()->set_keep(source.Below(4));
    event.resolved.set_model_manifest(Known()[source.Below(Known().size())]);
    return event;
  }

  // The service accepts only what CheckHello of worker_service.cc accepts.
  Event Hello(ByteSource& source) {
    AgentHello event;
    event.session = ++last_session_;
    FillMessage(source, Known(), event.hello);
    event.hello.set_worker(Worker(source));
    event.hello.set_device(source.Coin() ? "cpu" : "gpu");
    event.hello.set_slots(1 + source.Below(5));
    sessions_[event.hello.worker()] = event.session;
    return event;
  }

  uint64_t Session(const std::string& worker, ByteSource& source) {
    return source.Below(8) == 0 ? source.Byte() : sessions_[worker];
  }

  Event AnyReport(ByteSource& source) {
    AgentReport event{Worker(source), 0, {}};
    event.session = Session(event.worker, source);
    FillMessage(source, Known(), event.report);
    return event;
  }

  // A report of a job's running attempt, from one of its workers.
  Event FittingReport(ByteSource& source) {
    AgentReport event{Worker(source), 0, {}};
    const std::string job = Job(source);
    if (const JobRecord* record = FindJob(state_, job); record != nullptr && record->has_running()) {
      event.report.set_attempt(record->running().number());
      const auto& grants = record->running().grants();
      if (grants.size() > 0) event.worker = grants[static_cast<int>(source.Below(grants.size()))].worker();
    }
    event.session = sessions_[event.worker];
    event.report.set_job_id(job);
    event.report.set_sequence(++last_report_);
    const uint32_t rank = static_cast<uint32_t>(source.Below(8));
    switch (source.Below(8)) {
      case 0: event.report.mutable_refused()->set_reason("r"); break;
      case 1: event.report.mutable_rank_started()->set_rank(rank); break;
      case 2:
        event.report.mutable_rank_exited()->set_rank(rank);
        event.report.mutable_rank_exited()->set_cause(static_cast<muster::internal::v1::ExitCause>(source.Below(8)));
        break;
      case 3: {
        auto& checkpoint = *event.report.mutable_checkpoint()->mutable_checkpoint();
        checkpoint.set_step(source.Below(64));
        checkpoint.set_manifest(Known()[source.Below(Known().size())]);
        break;
      }
      case 6: {
        const JobRecord* record = FindJob(state_, job);
        if (record == nullptr || record->job().checkpoints().empty()) break;
        const auto& known = record->job().checkpoints(static_cast<int>(source.Below(record->job().checkpoints_size())));
        event.report.mutable_checkpoint_refused()->set_step(known.step());
        event.report.mutable_checkpoint_refused()->set_manifest(known.manifest());
        break;
      }
      case 4: FillMessage(source, Known(), *event.report.mutable_evaluation()); break;
      case 5: event.report.mutable_exported()->set_manifest(Known()[source.Below(Known().size())]); break;
      default: event.report.mutable_prepared(); break;
    }
    return event;
  }

  void Give(const Event& event) {
    std::vector<Event> events = {event};
    for (int turn = 0; !events.empty(); ++turn) {
      FUZZ_CHECK(turn < 4, "a plan asks for a plan without end");
      Soft copy = soft_;
      const Event given = events.back();
      const Decision decision = Step(state_, soft_, events.back(), now_);
      const Decision again = Step(state_, copy, events.back(), now_);
      events.pop_back();
      FUZZ_CHECK(decision.records.size() == again.records.size() && decision.effects.size() == again.effects.size() &&
                     decision.replan == again.replan,
                 "the same event decides otherwise");
      for (size_t i = 0; i < decision.records.size(); ++i) {
        FUZZ_CHECK(DeterministicBytes(decision.records[i]) == DeterministicBytes(again.records[i]),
                   "the same event writes otherwise");
        const Record written = SmallestRecord(decision.records[i], state_);
        FUZZ_CHECK(Apply(written, state_).ok(), "a record that cannot be applied");
        if (decision.records[i].has_job()) {
          const JobRecord& job = decision.records[i].job();
          FUZZ_CHECK(DeterministicBytes(state_.jobs.at(job.job().id())) == DeterministicBytes(job),
                     "what changed of a job makes another job");
        }
        journal_.push_back(written);
      }
      CheckSlots();
      CheckCluster();
      if (std::holds_alternative<Plan>(given)) CheckEnds();
      if (decision.replan) events.push_back(Plan{});
    }
  }

  void CheckSlots() const {
    std::set<std::pair<std::string, uint32_t>> used;
    for (const auto& [id, record] : state_.jobs) {
      const auto phase = record.job().phase();
      const bool holds = phase == muster::v1::JOB_PHASE_RESERVING || phase == muster::v1::JOB_PHASE_STARTING ||
                         phase == muster::v1::JOB_PHASE_TRAINING;
      FUZZ_CHECK(holds == record.has_running(), absl::StrCat(id, " is ", PhaseName(phase)));
      FUZZ_CHECK(state_.active.contains(id) == !IsFinal(phase), id);
      if (!holds) continue;
      const auto& info = *record.job().attempts().rbegin();
      FUZZ_CHECK(info.number() == record.running().number(), id);
      FUZZ_CHECK(info.ranks_size() == record.running().ranks_size() && info.ranks_size() > 0, id);
      FUZZ_CHECK(static_cast<uint32_t>(info.ranks_size()) >= record.job().spec().resources().slots().min(),
                 absl::StrCat(id, " runs on fewer slots than it needs"));
      for (const auto& rank : info.ranks()) {
        FUZZ_CHECK(used.insert({rank.worker(), rank.slot()}).second,
                   absl::StrCat("slot ", rank.slot(), " of ", rank.worker(), " has two ranks"));
      }
    }
  }

  void CheckCluster() const {
    ClusterIndex index = soft_.cluster;
    index.Refresh(state_, soft_, now_);
    std::vector<WorkerSlots> kept;
    for (const auto& [name, slots] : index.workers()) kept.push_back(slots);
    const ClusterSnapshot snapshot = SnapshotOf(state_, soft_, now_);
    FUZZ_CHECK(kept.size() == snapshot.workers.size(), "the index of the cluster has other workers");
    for (size_t i = 0; i < kept.size(); ++i) {
      // The duration of a worker's silence in a reason changes every second.
      const bool same = kept[i].free == snapshot.workers[i].free && kept[i].withheld == snapshot.workers[i].withheld &&
                        kept[i].total == snapshot.workers[i].total && kept[i].device == snapshot.workers[i].device &&
                        kept[i].withheld_reason.empty() == snapshot.workers[i].withheld_reason.empty();
      FUZZ_CHECK(same, absl::StrCat("the index has other slots of ", kept[i].name, ": ", kept[i].withheld_reason, " and ",
                                    snapshot.workers[i].withheld_reason));
    }
  }

  // For each running attempt, how many of its slots others can use once it has ended.
  void CheckEnds() const {
    FUZZ_CHECK(soft_.ends.size() == state_.index.running.size(), "the index of attempts has others than run");
    for (const auto& [id, attempt] : state_.index.running) {
      uint32_t slots = 0;
      for (const auto& rank : state_.jobs.at(id).job().attempts().rbegin()->ranks()) {
        const auto worker = soft_.cluster.workers().find(rank.worker());
        slots += worker != soft_.cluster.workers().end() && !worker->second.out;
      }
      FUZZ_CHECK(soft_.ends.at(id).slots == slots, absl::StrCat("the index of attempts has other slots of ", id));
    }
  }

  void CheckReplay() const {
    State replayed;
    for (const Record& record : journal_) FUZZ_CHECK(Apply(record, replayed).ok(), "replay");
    FUZZ_CHECK(CheckState(state_).ok(), CheckState(state_).ToString());
    const std::string bytes = SnapshotBytes(state_);
    FUZZ_CHECK(SnapshotBytes(replayed) == bytes, "the replayed state differs");
    const absl::StatusOr<State> loaded = Reloaded(state_);
    FUZZ_CHECK(loaded.ok(), loaded.status().ToString());
    FUZZ_CHECK(SnapshotBytes(*loaded) == bytes, "the reloaded state differs");
    for (const State* state : {&state_, static_cast<const State*>(&replayed), &*loaded}) {
      FUZZ_CHECK(CheckDerived(*state).ok(), CheckDerived(*state).ToString());
    }
  }

  absl::Time now_ = absl::FromUnixSeconds(1000000);
  State state_;
  Soft soft_{now_};
  std::vector<Record> journal_;
  std::map<std::string, uint64_t> sessions_;
  uint64_t last_session_ = 0, last_report_ = 0;
  int events_ = 0;
};

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  muster::ByteSource source(data, size);
  muster::Cluster().Run(source);
  return 0;
}
