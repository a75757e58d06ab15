// The records of all jobs, by id. Used like std::map<std::string, JobRecord>.
//
// A waiting job's record takes about 4 KiB as a message: 20 small messages and 30 strings, each allocated separately. There may
// be tens of thousands of jobs. So a record that was not accessed recently, of a job without a running attempt, is kept as
// bytes, a third of that size. Access parses it (some microseconds), and it stays a message until Settle.
//
//   operator[], Mutable ──► message ──Settle, once it is among the oldest──► bytes ──at, Find──► message and bytes ──Settle──► bytes
//
// References last until the next Settle, or until the job is erased. Not thread-safe: even const functions change it.
#pragma once

#include <cstddef>
#include <deque>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "muster/journal/v1/journal.pb.h"

namespace muster {

class JobTable {
  struct Slot {
    std::unique_ptr<journal::v1::JobRecord> record;  // null: only `bytes` has it
    std::string bytes;                               // empty: only `record` has it
    bool noted = false;                              // it is in recent_
  };
  using Slots = std::map<std::string, Slot>;

 public:
  // Visits all records without keeping the parsed ones: a reference lasts until the iterator moves or is destroyed.
  class const_iterator {
   public:
    using value_type = std::pair<const std::string&, const journal::v1::JobRecord&>;
    using reference = value_type;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;
    class pointer {
     public:
      explicit pointer(value_type value) : value_(value) {}
      const value_type* operator->() const { return &value_; }

     private:
      value_type value_;
    };
    explicit const_iterator(Slots::const_iterator slot) : slot_(slot) {}
    reference operator*() const;
    pointer operator->() const { return pointer(**this); }
    const_iterator& operator++() {
      ++slot_;
      return *this;
    }
    bool operator==(const const_iterator& other) const { return slot_ == other.slot_; }

   private:
    Slots::const_iterator slot_;
    mutable std::shared_ptr<journal::v1::JobRecord> parsed_;  // of the slot accessed last
  };

  JobTable() = default;
  JobTable(const JobTable& other);
  JobTable(JobTable&&) = default;
  JobTable& operator=(const JobTable& other);
  JobTable& operator=(JobTable&&) = default;

  const_iterator begin() const { return const_iterator(slots_.begin()); }
  const_iterator end() const { return const_iterator(slots_.end()); }
  const_iterator lower_bound(const std::string& id) const { return const_iterator(slots_.lower_bound(id)); }
  size_t size() const { return slots_.size(); }
  bool empty() const { return slots_.empty(); }
  bool contains(const std::string& id) const { return slots_.contains(id); }

  const journal::v1::JobRecord& at(const std::string& id) const;   // the job must exist
  journal::v1::JobRecord& at(const std::string& id);               // to change it
  const journal::v1::JobRecord* Find(absl::string_view id) const;  // null: there is none
  journal::v1::JobRecord* Mutable(const std::string& id);          // null: there is none
  journal::v1::JobRecord& operator[](const std::string& id);       // a new one, if there is none
  void erase(const std::string& id) { slots_.erase(id); }
  template <typename Predicate>  // bool(std::pair<const std::string&, const JobRecord&>)
  friend size_t erase_if(JobTable& table, Predicate predicate) {
    return std::erase_if(table.slots_, [&](const auto& slot) {
      return predicate(const_iterator::value_type(slot.first, *table.Find(slot.first)));
    });
  }

  // If more than `keep` records were accessed or changed, turns some of the least recently used ones into bytes. Call it
  // often: it takes a bounded time.
  void Settle(size_t keep = 256);

 private:
  const journal::v1::JobRecord& Look(const std::string& id, Slot& slot) const;
  void Note(const std::string& id, Slot& slot) const;

  // Access keeps a record parsed, which callers cannot observe.
  mutable Slots slots_;
  mutable std::deque<std::string> recent_;  // ids, in the order in which they were noted
  journal::v1::JobRecord scratch_;
};

}  // namespace muster
