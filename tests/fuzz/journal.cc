// A coordinator's state from an unknown source: a snapshot and records of any content. Laws: it is refused with a
// message (as Store::Open does), or it is a state with which the coordinator can continue, and which stays consistent.
#include "coordinator/core/check_state.h"
#include "coordinator/core/desired.h"
#include "coordinator/core/retention.h"
#include "coordinator/core/step.h"
#include "coordinator/core/testing/snapshot.h"
#include "coordinator/core/job_list.h"
#include "coordinator/core/view.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/random_message.h"

namespace muster {
namespace {

const KnownStrings kKnown = {"j0", "j1", "w0", "w1", "ada", "m1", "cpu"};

void GoOn(State state, ByteSource& source) {
  absl::Time now = absl::FromUnixSeconds(1000000);
  Soft soft{now};
  const auto give = [&](const Event& event) {
    const Decision decision = Step(state, soft, event, now);
    for (const Record& record : decision.records) FUZZ_CHECK(Apply(record, state).ok(), "a record that cannot be applied");
  };
  for (const char* worker : {"w0", "w1"}) {
    AgentHello hello;
    hello.session = worker[1] == '0' ? 1 : 2;
    hello.hello.set_worker(worker);
    hello.hello.set_device("cpu");
    hello.hello.set_slots(2);
    give(hello);
    DesiredStateOf(state, worker);
  }
  give(Plan{});
  for (int i = 0; i < 8 && !source.empty(); ++i) {
    AgentReport report{"w0", 1, {}};
    FillMessage(source, kKnown, report.report);
    give(report);
    give(JobCommand{1, static_cast<Verb>(source.Below(3)), kKnown[source.Below(2)], "ada", "r"});
    now += absl::Seconds(source.Byte());
    give(Tick{});
  }
  ViewWorkers(state, soft, now);
  PageOfQueues(state, {}).IgnoreError();
  ViewJobs(state, soft, {}).IgnoreError();
  ReferencedManifests(state, "", 10);
  ReferencedBlobs(state);
  FUZZ_CHECK(Reloaded(state).ok(), "its own records are refused");
  FUZZ_CHECK(CheckState(state).ok(), CheckState(state).ToString());
  while (!source.empty()) {  // damaged records: refused, or applied with all that is derived
    Record record;
    FillMessage(source, kKnown, *record.mutable_change());
    if (!state.jobs.empty()) record.mutable_change()->set_id(state.jobs.begin()->first);
    if (source.Coin()) {
      JobRecord set;
      FillMessage(source, kKnown, set);
      record.mutable_change()->mutable_change()->set_set(set.SerializeAsString());
    }
    Apply(record, state).IgnoreError();
  }
  State derived;
  for (const Record& record : RecordsOf(state)) FUZZ_CHECK(Apply(record, derived).ok(), "its own record is refused");
  FUZZ_CHECK(derived.index == state.index && derived.active == state.active, "the index differs from the jobs");
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  muster::ByteSource source(data, size);
  std::string bytes;
  if (source.Coin()) {
    bytes = source.Bytes();
  } else {
    muster::journal::v1::Snapshot snapshot;
    muster::FillMessage(source, muster::kKnown, snapshot);
    bytes = snapshot.SerializeAsString();
  }
  absl::StatusOr<muster::State> state = muster::StateFromFormerSnapshot(bytes);
  if (!state.ok()) {
    FUZZ_CHECK(!state.status().message().empty(), "an error without words");
    return 0;
  }
  if (const absl::Status whole = muster::CheckState(*state); !whole.ok()) return 0;
  muster::GoOn(*std::move(state), source);
  return 0;
}
