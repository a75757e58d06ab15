// The part of AgentCore that handles attempts: from the desired state to ranks that start and stop.
#include <signal.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/cpu_share.h"

namespace muster {
namespace {

constexpr char kGpu[] = "gpu";

std::string DeviceOf(const muster::internal::v1::Assignment& assignment, const std::string& of_worker) {
  const muster::v1::Device device = assignment.spec().resources().device();
  if (device == muster::v1::DEVICE_CPU) return "cpu";
  if (device == muster::v1::DEVICE_GPU) return kGpu;
  return of_worker;  // auto, and values of a newer API
}

}  // namespace

void AgentCore::Desire(const muster::internal::v1::DesiredState& desired) {
  if (desired.epoch() < epoch_ || session_ != Session::kWelcomed) return;  // sent by a coordinator that was replaced
  for (auto& [key, attempt] : attempts_) attempt.desired = false;
  for (const auto& assignment : desired.assignments()) Adopt({assignment.job_id(), assignment.attempt()}, assignment);
  for (auto& [key, attempt] : attempts_) {
    if (!attempt.desired) StopAttempt(key, attempt, "asked to stop by the coordinator");
    if (attempt.desired && attempt.assignment.save_and_stop()) {
      SaveAttempt(key, attempt, "asked to save and stop by the coordinator");
    }
  }
}

void AgentCore::Adopt(const AttemptKey& key, const muster::internal::v1::Assignment& assignment) {
  const auto [entry, is_new] = attempts_.try_emplace(key);
  Attempt& attempt = entry->second;
  attempt.desired = true;
  attempt.assignment = assignment;
  if (!is_new) return;  // its ranks keep the slots for which they were prepared
  for (const auto& placement : assignment.ranks()) attempt.ranks[placement.rank()].slot = placement.slot();
  if (assignment.phase() != muster::internal::v1::ASSIGNMENT_PHASE_RUN) return;
  attempt.stage = Stage::kStarted;
  for (const auto& [number, rank] : attempt.ranks) {
    RankEnded ended{{key, number}, {-1, SIGKILL}, "", ""};
    RankHistory history;
    history.result.emplace().set_cause(muster::internal::v1::EXIT_CAUSE_SIGNAL);
    history.result->set_message("ended with the worker's agent, which restarted");
    ReportExit(ended, history);
  }
}

void AgentCore::SettleAttempt(const AttemptKey& key, Attempt& attempt) {
  if (!attempt.desired) return;
  if (attempt.stage == Stage::kWaiting) {
    std::string reason;
    const Slots slots = CheckSlots(key, attempt, reason);
    if (slots == Slots::kBeingFreed) return;
    muster::internal::v1::Report report;
    if (slots == Slots::kRefused) {
      attempt.stage = Stage::kRefused;
      report.mutable_refused()->set_reason(reason);
    } else {
      attempt.stage = Stage::kPrepared;
      report.mutable_prepared();
    }
    SendReport(key, std::move(report));
  }
  if (attempt.stage == Stage::kPrepared && attempt.assignment.phase() == muster::internal::v1::ASSIGNMENT_PHASE_RUN &&
      !stopping_) {
    StartRanks(key, attempt);
  }
}

AgentCore::Slots AgentCore::CheckSlots(const AttemptKey& key, const Attempt& attempt, std::string& reason) const {
  const auto refuse = [&](const std::string& why) {
    reason = why;
    return Slots::kRefused;
  };
  if (stopping_) return refuse("the worker is stopping");
  if (!IsValidName(key.job)) return refuse("the job's id is not a valid name");
  if (DeviceOf(attempt.assignment, options_.facts.device) == kGpu && options_.facts.device != kGpu) {
    return refuse("the job needs a GPU, this worker has none");
  }
  std::set<uint32_t> wanted;
  for (const auto& [number, rank] : attempt.ranks) {
    if (rank.slot >= options_.facts.slots) {
      return refuse(absl::StrCat("slot ", rank.slot, " does not exist, there are ", options_.facts.slots));
    }
    if (!wanted.insert(rank.slot).second) return refuse(absl::StrCat("slot ", rank.slot, " is asked for twice"));
  }
  bool being_freed = false;
  for (const auto& [other_key, other] : attempts_) {
    if (other_key == key || other.stage == Stage::kWaiting || other.stage == Stage::kRefused) continue;
    for (const auto& [number, rank] : other.ranks) {
      // A prepared attempt holds all its slots, a started one only the slots of its running ranks.
      const bool holds = rank.running || (other.desired && other.stage == Stage::kPrepared);
      if (!holds || !wanted.contains(rank.slot)) continue;
      if (other.desired) return refuse(absl::StrCat("slot ", rank.slot, " is held by ", ToString(other_key)));
      being_freed = true;
    }
  }
  return being_freed ? Slots::kBeingFreed : Slots::kFree;
}

void AgentCore::StartRanks(const AttemptKey& key, Attempt& attempt) {
  attempt.stage = Stage::kStarted;
  for (auto& [number, rank] : attempt.ranks) {
    rank.running = true;
    StartRank start{{key, number}, ConfigFor({key, number}, attempt, rank.slot), {}};
    // Binding would harm a rank that is alone: with another busy process, the kernel moves its threads to free processors.
    if (attempt.ranks.size() > 1 && start.config.device() == "cpu") {
      const AgentFacts& facts = options_.facts;
      start.cpus = CpusOfSlot(facts.cpus, rank.slot, facts.slots, start.config.threads());
    }
    actions_.push_back(std::move(start));
  }
}

muster::rank::v1::RankConfig AgentCore::ConfigFor(const RankKey& key, const Attempt& attempt, uint32_t slot) const {
  const muster::internal::v1::Assignment& assignment = attempt.assignment;
  const AgentFacts& facts = options_.facts;
  muster::rank::v1::RankConfig config;
  config.set_job_id(key.attempt.job);
  config.set_attempt(key.attempt.attempt);
  config.set_rank(key.rank);
  config.set_world_size(assignment.world_size());
  config.set_slot(slot);
  const uint32_t asked = assignment.spec().resources().threads();
  config.set_threads(asked > 0 ? asked : std::max(1u, facts.cores / std::max(1u, facts.slots)));
  config.set_device(DeviceOf(assignment, facts.device));
  *config.mutable_spec() = assignment.spec();
  *config.mutable_resolved() = assignment.resolved();
  *config.mutable_checkpoints() = assignment.checkpoints();
  config.set_coordinator_address(options_.coordinator_address);
  config.mutable_data_addresses()->Assign(data_addresses_.begin(), data_addresses_.end());
  config.set_certificates(options_.certificates);
  config.set_token_file(options_.token_file);
  config.set_ticket(assignment.ticket());
  config.set_scratch((AttemptScratch(options_.state, key.attempt) / absl::StrCat("r", key.rank)).string());
  config.set_cache((options_.state / "cache").string());
  config.set_interface_address(options_.interface_address);
  if (options_.log_format != "text") config.set_log_format(options_.log_format);
  config.DiscardUnknownFields();  // a newer coordinator may send some; the rank reads text format, which cannot skip them
  return config;
}

void AgentCore::SaveAttempt(const AttemptKey& key, Attempt& attempt, const std::string& reason) {
  for (auto& [number, rank] : attempt.ranks) {
    if (!rank.running || rank.asked_to_save || rank.signaled || rank.killed) continue;
    rank.asked_to_save = true;
    rank.history.stop_reason = reason;
    actions_.push_back(SignalRank{{key, number}, SIGUSR1});
  }
}

void AgentCore::StopAttempt(const AttemptKey& key, Attempt& attempt, const std::string& reason) {
  for (auto& [number, rank] : attempt.ranks) {
    if (!rank.running || rank.signaled || rank.killed) continue;
    rank.signaled = true;
    rank.history.stop_reason = reason;
    rank.kill_at = now_ + options_.stop_grace;
    rank.late = absl::StrCat("did not end within ", absl::FormatDuration(options_.stop_grace), " after SIGTERM and was killed");
    actions_.push_back(SignalRank{{key, number}, SIGTERM});
  }
}

void AgentCore::KillRank(const RankKey& key, Rank& rank, const std::string& reason) {
  rank.killed = true;
  rank.kill_at.reset();
  rank.history.kill_reason = reason;
  actions_.push_back(SignalRank{key, SIGKILL});
}

void AgentCore::ReportExit(const RankEnded& ended, const RankHistory& history) {
  muster::internal::v1::Report report;
  *report.mutable_rank_exited() = DescribeRankExit(ended, history);
  ++counters_.exits[report.rank_exited().cause()];
  SendReport(ended.rank.attempt, std::move(report));
}

}  // namespace muster
