#include "worker/rank/device/streams.h"

#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <optional>

namespace muster {
namespace {

struct HostEvent final : StreamEvent {
  explicit HostEvent(absl::Duration now) : time(now) {}
  const absl::Duration time;
};

class HostStreams final : public Streams {
 public:
  explicit HostStreams(const Clock& clock) : clock_(clock) {}
  std::unique_ptr<StreamEvent> Record(Lane) override { return std::make_unique<HostEvent>(clock_.Monotonic()); }
  void Wait(Lane, const StreamEvent&) override {}
  bool Past(const StreamEvent&) override { return true; }
  double SecondsBetween(const StreamEvent& begin, const StreamEvent& end) override {
    return absl::ToDoubleSeconds(static_cast<const HostEvent&>(end).time - static_cast<const HostEvent&>(begin).time);
  }
  at::Tensor Upload(const at::Tensor& host) override { return host; }
  void WillRead(Lane, const at::Tensor&) override {}

 private:
  const Clock& clock_;
};

struct DeviceEvent final : StreamEvent {
  explicit DeviceEvent(c10::DeviceType type) : event(type, c10::EventFlag::BACKEND_DEFAULT) {}  // records its time
  c10::Event event;
};

class DeviceStreams final : public Streams {
 public:
  explicit DeviceStreams(at::Device device) : device_(device), guard_(device.type()) {}

  std::unique_ptr<StreamEvent> Record(Lane lane) override {
    auto recorded = std::make_unique<DeviceEvent>(device_.type());
    recorded->event.record(StreamOf(lane));
    return recorded;
  }
  void Wait(Lane lane, const StreamEvent& event) override { EventOf(event).block(StreamOf(lane)); }
  bool Past(const StreamEvent& event) override { return EventOf(event).query(); }
  double SecondsBetween(const StreamEvent& begin, const StreamEvent& end) override {
    return EventOf(begin).elapsedTime(EventOf(end)) / 1000;
  }
  at::Tensor Upload(const at::Tensor& host) override {
    const c10::StreamGuard in_lane(upload_);
    return host.to(device_, /*non_blocking=*/true);
  }
  void WillRead(Lane lane, const at::Tensor& tensor) override { tensor.record_stream(StreamOf(lane)); }

 private:
  c10::Stream StreamOf(Lane lane) const { return lane == Lane::kUpload ? upload_ : guard_.getStream(device_); }
  static c10::Event& EventOf(const StreamEvent& event) {
    return const_cast<c10::Event&>(static_cast<const DeviceEvent&>(event).event);  // c10's calls are not const
  }

  const at::Device device_;
  const c10::impl::VirtualGuardImpl guard_;
  const c10::Stream upload_ = guard_.getStreamFromGlobalPool(device_);
};

}  // namespace

std::unique_ptr<Streams> MakeStreams(at::Device device, const Clock& clock) {
  if (device.is_cpu()) return std::make_unique<HostStreams>(clock);
  return std::make_unique<DeviceStreams>(device);
}

}  // namespace muster
