// For tests: which work of a device's streams is ordered before which. Streams run side by side; only an event that one has
// recorded and another waits for, or that the host has seen, orders their work. Work that touches memory before the work
// that it depends on has ended is a fault, even if the test happened to run it in the right order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace muster::testing_streams {

class StreamOrder {
 public:
  // For each stream, how much of its work is known to have ended.
  using Event = std::map<int64_t, int64_t>;

  // Work of a stream on bytes of memory.
  void Read(int64_t stream, const void* memory, size_t bytes, const std::string& what);
  void Write(int64_t stream, const void* memory, size_t bytes, const std::string& what);

  Event Record(int64_t stream);                     // after the work that the stream holds now
  void Wait(int64_t stream, const Event& event);    // work that the stream gets from now on runs after it
  void HostSaw(const Event& event);                 // work that any stream gets from now on runs after it

  // One line for each access that was not ordered: "STREAM reads WHAT, which STREAM may still be writing (WHAT)".
  const std::vector<std::string>& faults() const { return faults_; }

 private:
  struct Access {
    int64_t stream, number;
    uintptr_t begin, end;
    bool write;
    std::string what;
  };
  void Touch(Access access);

  std::map<int64_t, Event> streams_;
  Event host_;
  std::vector<Access> accesses_;
  std::vector<std::string> faults_;
};

}  // namespace muster::testing_streams
