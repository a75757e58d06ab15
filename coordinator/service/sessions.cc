#include "coordinator/service/sessions.h"

#include <utility>

#include "common/deterministic_bytes.h"

namespace muster {

using muster::internal::v1::CoordinatorMessage;

Sessions::Outbox::Found Sessions::Outbox::TryNext(CoordinatorMessage& message) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return Found::kClosed;
  if (messages_.empty()) return Found::kNothing;
  message = std::move(messages_.front());
  messages_.pop_front();
  return Found::kMessage;
}

void Sessions::Outbox::OnChange(std::function<void()> act) {
  {
    absl::MutexLock lock(&mutex_);
    on_change_ = std::move(act);
    if (!closed_ && messages_.empty()) return;
  }
  Tell();
}

// Calls `act` without the lock, because it uses the outbox immediately.
void Sessions::Outbox::Tell() {
  std::function<void()> act;
  {
    absl::MutexLock lock(&mutex_);
    act = on_change_;
  }
  if (act) act();
}

void Sessions::Outbox::Push(CoordinatorMessage message) {
  {
    absl::MutexLock lock(&mutex_);
    messages_.push_back(std::move(message));
  }
  Tell();
}

void Sessions::Outbox::PushDesired(const muster::internal::v1::DesiredState& desired, bool repeat) {
  std::string bytes = DeterministicBytes(desired);
  {
    absl::MutexLock lock(&mutex_);
    if (!repeat && bytes == last_desired_) return;
    last_desired_ = std::move(bytes);
    CoordinatorMessage message;
    *message.mutable_desired() = desired;
    messages_.push_back(std::move(message));
  }
  Tell();
}

void Sessions::Outbox::PushAck(uint64_t sequence) {
  {
    absl::MutexLock lock(&mutex_);
    if (!messages_.empty() && messages_.back().has_ack()) {
      messages_.back().mutable_ack()->set_sequence(sequence);
      return;
    }
    CoordinatorMessage message;
    message.mutable_ack()->set_sequence(sequence);
    messages_.push_back(std::move(message));
  }
  Tell();
}

void Sessions::Outbox::Close() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  Tell();
}

std::pair<uint64_t, std::shared_ptr<Sessions::Outbox>> Sessions::Open() {
  auto outbox = std::make_shared<Outbox>();
  absl::MutexLock lock(&mutex_);
  if (stopping_) outbox->Close();
  open_[++last_] = outbox;
  return {last_, outbox};
}

void Sessions::Close(uint64_t session) {
  std::shared_ptr<Outbox> outbox;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = open_.find(session);
    if (found == open_.end()) return;
    outbox = found->second;
    open_.erase(found);
  }
  outbox->Close();
}

void Sessions::CloseAll() {
  std::map<uint64_t, std::shared_ptr<Outbox>> open;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    open = open_;
  }
  for (const auto& [session, outbox] : open) outbox->Close();
}

std::shared_ptr<Sessions::Outbox> Sessions::Find(uint64_t session) {
  absl::MutexLock lock(&mutex_);
  const auto found = open_.find(session);
  return found == open_.end() ? nullptr : found->second;
}

}  // namespace muster
