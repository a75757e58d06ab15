#include "worker/agent/core/relay.h"

#include <utility>

namespace muster {

void Relay::AddProgress(const AttemptKey& attempt, const muster::v1::Progress& progress) {
  progress_[attempt] = progress;
}

void Relay::AddLog(const RankKey& rank, const std::string& text) {
  const bool joins = !logs_.empty() && logs_.back().job_id() == rank.attempt.job &&
                     logs_.back().attempt() == rank.attempt.attempt && logs_.back().rank() == rank.rank &&
                     logs_.back().text().size() + text.size() <= batch_bytes_;
  if (!joins) {
    muster::internal::v1::LogText& log = logs_.emplace_back();
    log.set_job_id(rank.attempt.job);
    log.set_attempt(rank.attempt.attempt);
    log.set_rank(rank.rank);
  }
  logs_.back().mutable_text()->append(text);
  log_bytes_ += text.size();
  while (log_bytes_ > max_bytes_ && logs_.size() > 1) {
    log_bytes_ -= logs_.front().text().size();
    logs_.pop_front();
  }
}

std::vector<muster::internal::v1::AgentMessage> Relay::Take() {
  std::vector<muster::internal::v1::AgentMessage> messages;
  for (auto& [attempt, progress] : progress_) {
    muster::internal::v1::ProgressReport& report = *messages.emplace_back().mutable_progress();
    report.set_job_id(attempt.job);
    report.set_attempt(attempt.attempt);
    *report.mutable_progress() = std::move(progress);
  }
  for (auto& log : logs_) *messages.emplace_back().mutable_log() = std::move(log);
  progress_.clear();
  logs_.clear();
  log_bytes_ = 0;
  return messages;
}

}  // namespace muster
