// Numbers, choices and strings made from a fuzzer's bytes, taken from the front; zeros once they are used up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace muster {

class ByteSource {
 public:
  ByteSource(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  size_t size() const { return rest_.size(); }

  template <typename T>
  T Take() {
    T value{};
    const size_t count = rest_.size() < sizeof(T) ? rest_.size() : sizeof(T);
    std::memcpy(&value, rest_.data(), count);
    rest_.remove_prefix(count);
    return value;
  }
  uint8_t Byte() { return Take<uint8_t>(); }
  bool Coin() { return (Byte() & 1) != 0; }
  // From 0 to below `count`, which is at most 256.
  size_t Below(size_t count) { return Byte() % count; }
  // At most 65535 bytes, preceded by their number.
  std::string Bytes() {
    const size_t count = Take<uint16_t>();
    return std::string(Front(count));
  }
  std::string ShortBytes() { return std::string(Front(Byte())); }
  std::string_view Rest() { return Front(rest_.size()); }

 private:
  std::string_view Front(size_t count) {
    const std::string_view front = rest_.substr(0, count);
    rest_.remove_prefix(front.size());
    return front;
  }

  std::string_view rest_;
};

}  // namespace muster
