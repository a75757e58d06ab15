#include "worker/rank/device/testing/stream_order.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace muster::testing_streams {
namespace {

void Join(StreamOrder::Event& into, const StreamOrder::Event& from) {
  for (const auto& [stream, number] : from) into[stream] = std::max(into[stream], number);
}

}  // namespace

void StreamOrder::Read(int64_t stream, const void* memory, size_t bytes, const std::string& what) {
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  Touch({.stream = stream, .number = 0, .begin = begin, .end = begin + bytes, .write = false, .what = what});
}

void StreamOrder::Write(int64_t stream, const void* memory, size_t bytes, const std::string& what) {
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  Touch({.stream = stream, .number = 0, .begin = begin, .end = begin + bytes, .write = true, .what = what});
}

void StreamOrder::Touch(Access access) {
  Event& known = streams_[access.stream];
  Join(known, host_);
  for (const Access& other : accesses_) {
    const bool conflict = access.write || other.write;
    if (!conflict || access.end <= other.begin || other.end <= access.begin) continue;
    if (known[other.stream] >= other.number) continue;
    faults_.push_back(absl::StrCat("stream ", access.stream, access.write ? " writes " : " reads ", access.what,
                                   ", which stream ", other.stream, " may still be ", other.write ? "writing" : "reading",
                                   " (", other.what, ")"));
  }
  access.number = ++known[access.stream];
  accesses_.push_back(std::move(access));
}

StreamOrder::Event StreamOrder::Record(int64_t stream) {
  Join(streams_[stream], host_);
  return streams_[stream];
}

void StreamOrder::Wait(int64_t stream, const Event& event) { Join(streams_[stream], event); }

void StreamOrder::HostSaw(const Event& event) { Join(host_, event); }

}  // namespace muster::testing_streams
