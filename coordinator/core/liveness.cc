#include "coordinator/core/liveness.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace muster {
namespace {

constexpr size_t kMostText = 200;
constexpr size_t kMostListed = 8;  // ranks that a sentence lists

// Reasons are stored durably, so long text from an agent is left out.
std::string Short(const std::string& text) { return text.size() <= kMostText ? text : "…"; }

using Standings = std::vector<RankStanding>;

// A rank's progress: a rank inside its 5th collective is behind one that has returned from it.
uint64_t PositionOf(const RankStanding& rank) { return 2 * rank.collectives + (rank.in_collective ? 0 : 1); }

std::string NameOf(const RankStanding& rank) { return absl::StrCat("rank ", rank.rank, " on ", rank.worker); }

std::string For(absl::Duration time) { return absl::StrCat(" for ", absl::ToInt64Seconds(time), " s"); }

// "at step 8 in encode", "at step 8, saving a checkpoint"
std::string Place(const RankStanding& rank) {
  const bool activity = absl::StrContains(rank.phase, "ing");
  return absl::StrCat("at step ", rank.step, activity ? ", " : " in ", rank.phase, activity ? "," : "");
}

std::string Ranks(const Standings& ranks) {
  if (ranks.size() == 1) return absl::StrCat("rank ", ranks[0].rank);
  if (ranks.size() > kMostListed) return absl::StrCat(ranks.size(), " ranks");
  std::vector<uint32_t> numbers;
  for (const RankStanding& rank : ranks) numbers.push_back(rank.rank);
  return absl::StrCat("ranks ", absl::StrJoin(numbers, ", "));
}

// "rank 1 on w2", "rank 1 on w2 and 3 other ranks"
std::string FirstOf(const Standings& ranks) {
  const size_t more = ranks.size() - 1;
  return absl::StrCat(NameOf(ranks[0]), more == 0 ? "" : absl::StrCat(" and ", more, " other rank", more == 1 ? "" : "s"));
}

template <typename Predicate>
Standings Select(const Standings& all, Predicate predicate) {
  Standings some;
  std::copy_if(all.begin(), all.end(), std::back_inserter(some), predicate);
  return some;
}

// The place of the rank that is farthest ahead, where most of the waiting ranks are.
std::string WhileOthersWait(const Standings& others) {
  const Standings waiting = Select(others, [](const RankStanding& rank) { return rank.in_collective; });
  if (waiting.empty()) return "";
  const auto farthest = std::max_element(waiting.begin(), waiting.end(), [](const RankStanding& a, const RankStanding& b) {
    return PositionOf(a) < PositionOf(b);
  });
  return absl::StrCat(", while ", Ranks(waiting), waiting.size() == 1 ? " waits" : " wait", " in ", farthest->phase,
                      " at step ", farthest->step);
}

}  // namespace

Standings StandingsOf(const JobRecord& job, const Soft& soft, absl::Time now) {
  Standings standings;
  if (!job.has_running() || job.job().attempts().empty()) return standings;
  const AttemptKey key = {job.job().id(), job.running().number()};
  for (const muster::v1::RankPlacement& placement : job.job().attempts().rbegin()->ranks()) {
    if (placement.rank() >= static_cast<uint32_t>(job.running().ranks_size())) continue;
    const journal::v1::RankState& state = job.running().ranks(static_cast<int>(placement.rank()));
    if (state.succeeded() || state.stopped()) continue;
    RankStanding standing{.rank = placement.rank(), .worker = placement.worker()};
    const auto worker = soft.workers.find(placement.worker());
    if (worker != soft.workers.end()) {
      const auto attempt = worker->second.activities.find(key);
      if (attempt != worker->second.activities.end()) {
        for (const muster::internal::v1::RankActivity& said : attempt->second) {
          if (said.rank() != placement.rank()) continue;
          const absl::Duration since = now - worker->second.activities_at;
          standing.known = true;
          standing.phase = Short(said.phase());
          standing.step = said.step();
          standing.collectives = said.collectives();
          standing.in_collective = said.in_collective();
          standing.in_phase = since + absl::Seconds(said.seconds_ago());
          // Its agent sends a heartbeat every 3 s: time since the last one is the agent's silence, not the rank's.
          standing.silent = absl::Seconds(said.silent_seconds());
          standing.unreachable = Short(said.unreachable());
        }
      }
    }
    standings.push_back(std::move(standing));
  }
  return standings;
}

std::string DescribeLag(const Standings& standings) {
  const Standings known = Select(standings, [](const RankStanding& rank) { return rank.known; });
  if (known.empty()) return "";
  const auto frozen = [](const RankStanding& rank) { return rank.known && rank.silent >= kUnresponsiveAfter; };
  if (const Standings some = Select(standings, frozen); !some.empty()) {
    const Standings others = Select(known, [&](const RankStanding& rank) { return !frozen(rank); });
    return absl::StrCat(FirstOf(some), some.size() == 1 ? " has" : " have", " not responded", For(some[0].silent),
                        " (stopped or frozen): ", Place(some[0]), WhileOthersWait(others));
  }
  if (const Standings some = Select(standings, [](const RankStanding& rank) { return !rank.known; }); !some.empty()) {
    return absl::StrCat(FirstOf(some), some.size() == 1 ? " has" : " have", " reported nothing", WhileOthersWait(known));
  }
  const auto by_position = [](const RankStanding& a, const RankStanding& b) { return PositionOf(a) < PositionOf(b); };
  const auto [least, most] = std::minmax_element(known.begin(), known.end(), by_position);
  if (PositionOf(*least) == PositionOf(*most) && known.size() > 1) {
    const absl::string_view what = least->in_collective ? ": every rank waits for the others" : "";
    return absl::StrCat("all ranks are ", Place(*most), For(most->in_phase), what);
  }
  const Standings behind =
      Select(known, [&](const RankStanding& rank) { return PositionOf(rank) == PositionOf(*least); });
  const Standings ahead = Select(known, [&](const RankStanding& rank) { return PositionOf(rank) > PositionOf(*least); });
  return absl::StrCat(FirstOf(behind), behind.size() == 1 ? " is " : " are ", Place(behind[0]), For(behind[0].in_phase),
                      WhileOthersWait(ahead));
}

std::string DescribePeersBehind(const Standings& standings, uint32_t rank) {
  const auto own = std::find_if(standings.begin(), standings.end(),
                                [&](const RankStanding& standing) { return standing.rank == rank && standing.known; });
  if (own == standings.end()) return "";
  Standings some = Select(standings, [&](const RankStanding& peer) {
    if (!peer.known || peer.rank == rank) return false;
    return peer.silent >= kUnresponsiveAfter ||
           (PositionOf(peer) < PositionOf(*own) && peer.in_phase >= kUnresponsiveAfter);
  });
  if (some.empty()) return "";
  some.push_back(*own);
  return DescribeLag(some);
}

std::string ServerWaitedFor(const Standings& standings) {
  for (const RankStanding& rank : standings) {
    if (!rank.unreachable.empty()) return rank.unreachable;
  }
  return "";
}

bool WaitsForLostServer(const Standings& standings, const Soft& soft) {
  return !soft.data_server.answers() && !ServerWaitedFor(standings).empty();
}

std::string DescribeOutage(const Soft& soft, absl::Time now) {
  const absl::Duration lasted = absl::Trunc(now - soft.data_server.lost_at, absl::Seconds(1));
  return absl::StrCat("data server ", soft.data_server.address, ", unreachable for ", absl::FormatDuration(lasted));
}

}  // namespace muster
