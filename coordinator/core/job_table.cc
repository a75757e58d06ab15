#include "coordinator/core/job_table.h"

#include <cstdlib>
#include <utility>

namespace muster {

using journal::v1::JobRecord;

namespace {

constexpr int kMostPerSettle = 64;  // records

// Parses bytes that Settle wrote and verified.
void ParseOwn(const std::string& bytes, JobRecord& record) {
  if (!record.ParseFromString(bytes)) std::abort();
}

}  // namespace

JobTable::const_iterator::reference JobTable::const_iterator::operator*() const {
  const Slot& slot = slot_->second;
  if (slot.record != nullptr) return {slot_->first, *slot.record};
  parsed_ = std::make_shared<JobRecord>();
  ParseOwn(slot.bytes, *parsed_);
  return {slot_->first, *parsed_};
}

JobTable::JobTable(const JobTable& other) { *this = other; }

JobTable& JobTable::operator=(const JobTable& other) {
  if (this == &other) return *this;
  slots_.clear();
  for (const auto& [id, slot] : other.slots_) {
    Slot& own = slots_[id];
    if (slot.record != nullptr) own.record = std::make_unique<JobRecord>(*slot.record);
    own.bytes = slot.bytes;
    own.noted = slot.noted;
  }
  recent_ = other.recent_;
  return *this;
}

const JobRecord& JobTable::at(const std::string& id) const { return Look(id, slots_.at(id)); }

JobRecord& JobTable::at(const std::string& id) {
  slots_.at(id);
  return (*this)[id];
}

const JobRecord* JobTable::Find(absl::string_view id) const {
  const auto found = slots_.find(std::string(id));
  return found == slots_.end() ? nullptr : &Look(found->first, found->second);
}

JobRecord* JobTable::Mutable(const std::string& id) { return contains(id) ? &(*this)[id] : nullptr; }

JobRecord& JobTable::operator[](const std::string& id) {
  Slot& slot = slots_[id];
  if (slot.record == nullptr) {
    slot.record = std::make_unique<JobRecord>();
    if (!slot.bytes.empty()) ParseOwn(slot.bytes, *slot.record);
  }
  slot.bytes = std::string();  // frees the memory, too
  Note(id, slot);
  return *slot.record;
}

const JobRecord& JobTable::Look(const std::string& id, Slot& slot) const {
  if (slot.record == nullptr) {
    slot.record = std::make_unique<JobRecord>();
    ParseOwn(slot.bytes, *slot.record);
    Note(id, slot);
  }
  return *slot.record;
}

void JobTable::Note(const std::string& id, Slot& slot) const {
  if (std::exchange(slot.noted, true)) return;
  recent_.push_back(id);
}

void JobTable::Settle(size_t keep) {
  for (int i = 0; i < kMostPerSettle && recent_.size() > keep; ++i) {
    const auto found = slots_.find(recent_.front());
    recent_.pop_front();
    if (found == slots_.end()) continue;
    Slot& slot = found->second;
    slot.noted = false;
    if (slot.record == nullptr || slot.record->has_running()) continue;
    if (slot.bytes.empty()) {
      std::string bytes;
      // A record that cannot be parsed again (its text is not UTF-8) stays a message.
      if (!slot.record->SerializeToString(&bytes) || !scratch_.ParseFromString(bytes)) continue;
      slot.bytes.assign(bytes);  // no more memory than it needs
    }
    slot.record = nullptr;
  }
}

}  // namespace muster
