// The streams of a rank's device and the events between them. On the CPU all work is done when the call returns: events are
// clock readings, and waiting for one does nothing.
//
// An interface, so that tests can check which stream waits for which event (testing/recording_streams.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "common/clock.h"

namespace muster {

// kCompute: the calling thread's current stream, where the step runs. kUpload: copies of coming batches.
enum class Lane { kCompute, kUpload };

// The position that a stream had reached.
class StreamEvent {
 public:
  virtual ~StreamEvent() = default;
};

// Thread-safe.
class Streams {
 public:
  virtual ~Streams() = default;

  // Returns an event that occurs after all work that is in the lane now.
  virtual std::unique_ptr<StreamEvent> Record(Lane lane) = 0;
  // Work that the lane gets from now on runs after the event. The host does not wait.
  virtual void Wait(Lane lane, const StreamEvent& event) = 0;
  // Whether the event has passed. Does not wait.
  virtual bool Past(const StreamEvent& event) = 0;
  // The seconds between two events that are past.
  virtual double SecondsBetween(const StreamEvent& begin, const StreamEvent& end) = 0;

  // Starts to copy a tensor of the host to the device, in kUpload. Memory that is not pinned is copied while the host waits.
  virtual at::Tensor Upload(const at::Tensor& host) = 0;
  // Declares that the lane reads a tensor that another lane made, so that its memory is not reused too early. Wait for the
  // other lane's event first.
  virtual void WillRead(Lane lane, const at::Tensor& tensor) = 0;
};

// `clock` must outlive it.
std::unique_ptr<Streams> MakeStreams(at::Device device, const Clock& clock);

}  // namespace muster
