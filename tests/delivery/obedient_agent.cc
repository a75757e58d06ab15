// The agent's real core, with ranks that start and stop immediately when asked. Driven by lines on stdin:
//
//   tick NOW | message NOW HEX | ended NOW        NOW in nanoseconds; HEX: a CoordinatorMessage
//
// Answers each with the core's actions, and then with when it wants a tick and how many ranks run:
//
//   open HEX | send HEX | close                   HEX: a Hello, an AgentMessage
//   done NEXT RUNNING
#include <signal.h>

#include <deque>
#include <iostream>
#include <sstream>
#include <string>

#include "absl/strings/escaping.h"
#include "worker/agent/core/agent_core.h"

namespace muster {
namespace {

class ObedientAgent {
 public:
  explicit ObedientAgent(AgentCoreOptions options) : core_(std::move(options)) {}

  void Give(Event event, absl::Duration now) {
    events_.push_back(std::move(event));
    while (!events_.empty()) {
      const Event next = std::move(events_.front());
      events_.pop_front();
      for (const Action& action : core_.Step(next, now)) {
        std::visit([this](const auto& concrete) { Do(concrete); }, action);
      }
    }
    const int64_t tick = core_.next_tick() == absl::InfiniteDuration() ? INT64_MAX : absl::ToInt64Nanoseconds(core_.next_tick());
    std::cout << "done " << tick << " " << core_.ranks_running() << std::endl;
  }

 private:
  template <typename Message>
  static std::string Hex(const Message& message) {
    return std::string(absl::BytesToHexString(message.SerializeAsString()));
  }
  void Do(const OpenSession& action) { std::cout << "open " << Hex(action.hello) << "\n"; }
  void Do(const CloseSession&) { std::cout << "close\n"; }
  void Do(const Send& action) { std::cout << "send " << Hex(action.message) << "\n"; }
  void Do(const StartRank& action) {
    RankReported report{action.rank, {}};
    report.message.mutable_started();
    events_.push_back(std::move(report));
  }
  void Do(const SignalRank& action) {
    if (action.signal == SIGTERM) events_.push_back(RankEnded{action.rank, {-1, SIGTERM}, "", ""});
  }
  void Do(const RemoveScratch&) {}
  void Do(const EndAgent&) {}

  AgentCore core_;
  std::deque<Event> events_;
};

int Main() {
  AgentCoreOptions options;
  options.facts = {.worker = "w1", .host = "h", .device = "cpu", .instance = "one", .version = "1.0.0", .slots = 8};
  options.state = "/nowhere";
  ObedientAgent agent(std::move(options));
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb, hex;
    int64_t now = 0;
    words >> verb >> now >> hex;
    const absl::Duration time = absl::Nanoseconds(now);
    if (verb == "message") {
      MessageReceived received;
      if (!received.message.ParseFromString(absl::HexStringToBytes(hex))) return 1;
      agent.Give(std::move(received), time);
    } else if (verb == "ended") {
      agent.Give(SessionEnded{"broken"}, time);
    } else {
      agent.Give(Tick{}, time);
    }
  }
  return 0;
}

}  // namespace
}  // namespace muster

int main() { return muster::Main(); }
