// The agent's decisions, with arbitrary messages from the coordinator, and arbitrary reports and behavior of ranks. Laws: a
// slot has one rank at a time, reports are numbered without a gap, there are no actions after the agent's end, and it ends when
// asked to.
#include "worker/agent/core/agent_core.h"

#include <set>

#include "tests/fuzz/check.h"
#include "tests/fuzz/random_message.h"

namespace muster {
namespace {

const KnownStrings kKnown = {"j0", "j1", "w0", "i1", "m1", ""};

class Host {
 public:
  Host() : core_(Options()) {}

  void Run(ByteSource& source) {
    for (int i = 0; i < 300 && !source.empty() && !ended_; ++i) {
      now_ += absl::Milliseconds(source.Byte()) * (source.Below(8) == 0 ? 500 : 1);
      Give(Draw(source));
    }
    if (ended_) return;
    Give(StopAsked{});
    for (int i = 0; i < 100 && !ended_; ++i) {
      now_ += absl::Seconds(1);
      if (!running_.empty() && i > 20) {
        Give(RankEnded{running_.begin()->first, {0, 9}, "", ""});
      } else {
        Give(Tick{});
      }
    }
    FUZZ_CHECK(ended_ || running_.size() > 70, "the agent does not end");
  }

 private:
  static AgentCoreOptions Options() {
    AgentCoreOptions options;
    options.facts = {"w0", "host", "cpu", "cpu", "i1", "0"};
    options.facts.slots = 4;
    options.state = "/state";
    return options;
  }

  RankKey Rank(ByteSource& source) {
    if (!running_.empty() && source.Coin()) {
      auto rank = running_.begin();
      std::advance(rank, source.Below(running_.size() < 256 ? running_.size() : 256));
      return rank->first;
    }
    return {{kKnown[source.Below(2)], static_cast<uint32_t>(source.Below(4))}, static_cast<uint32_t>(source.Below(4))};
  }

  Event Draw(ByteSource& source) {
    switch (source.Below(10)) {
      case 0:
      case 1: {
        MessageReceived event;
        FillMessage(source, kKnown, event.message);
        return event;
      }
      case 2:
      case 3: return Desired(source);
      case 4: {
        MessageReceived event;
        event.message.mutable_welcome()->set_epoch(source.Below(4));
        return event;
      }
      case 5: return SessionEnded{"gone"};
      case 6: {
        RankReported event{Rank(source), {}};
        FillMessage(source, kKnown, event.message);
        return event;
      }
      case 7:
        if (source.Coin()) return RankReportIsBroken{Rank(source), "nonsense"};
        return RankWrote{Rank(source), source.ShortBytes()};
      case 8:
        if (!running_.empty()) {
          return RankEnded{Rank(source), {static_cast<int>(source.Below(3)) - 1, static_cast<int>(source.Below(16))}, "", ""};
        }
        return Tick{};
      default:
        if (source.Below(32) == 0) return StopAsked{};
        return Tick{};
    }
  }

  Event Desired(ByteSource& source) {
    MessageReceived event;
    muster::internal::v1::DesiredState& desired = *event.message.mutable_desired();
    desired.set_epoch(source.Below(4));
    for (size_t i = source.Below(4); i > 0; --i) {
      auto& assignment = *desired.add_assignments();
      assignment.set_job_id(kKnown[source.Below(2)]);
      assignment.set_attempt(static_cast<uint32_t>(source.Below(4)));
      assignment.set_phase(source.Coin() ? muster::internal::v1::ASSIGNMENT_PHASE_RUN
                                         : muster::internal::v1::ASSIGNMENT_PHASE_PREPARE);
      assignment.set_world_size(static_cast<uint32_t>(source.Below(4)));
      for (size_t k = source.Below(4); k > 0; --k) {
        auto& rank = *assignment.add_ranks();
        rank.set_rank(static_cast<uint32_t>(source.Below(4)));
        rank.set_slot(static_cast<uint32_t>(source.Below(6)));
        rank.set_worker("w0");
      }
    }
    return event;
  }

  void Give(const Event& event) {
    if (const auto* ended = std::get_if<RankEnded>(&event)) {
      if (running_.erase(ended->rank) == 0) return;  // the shell reports this once for ranks that it started
    }
    for (const Action& action : core_.Step(event, now_)) {
      FUZZ_CHECK(!ended_, "an action after the agent's end");
      if (const auto* start = std::get_if<StartRank>(&action)) {
        FUZZ_CHECK(!running_.contains(start->rank), ToString(start->rank) + " is started twice");
        const uint32_t slot = start->config.slot();
        FUZZ_CHECK(slot < 4, "a slot that this host does not have");
        for (const auto& [rank, other] : running_) {
          FUZZ_CHECK(other != slot, ToString(start->rank) + " gets the slot of " + ToString(rank));
        }
        running_[start->rank] = slot;
      } else if (const auto* send = std::get_if<Send>(&action); send != nullptr && send->message.has_report()) {
        const uint64_t sequence = send->message.report().sequence();
        FUZZ_CHECK(sequence > 0 && sequence <= last_report_ + 1, "reports are numbered with a gap");
        last_report_ = std::max(last_report_, sequence);
      } else if (const auto* signal = std::get_if<SignalRank>(&action)) {
        FUZZ_CHECK(running_.contains(signal->rank), ToString(signal->rank) + " does not run");
      } else if (std::holds_alternative<EndAgent>(action)) {
        ended_ = true;
      }
    }
  }

  AgentCore core_;
  absl::Duration now_ = absl::ZeroDuration();
  std::map<RankKey, uint32_t> running_;
  uint64_t last_report_ = 0;
  bool ended_ = false;
};

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  muster::ByteSource source(data, size);
  muster::Host().Run(source);
  return 0;
}
