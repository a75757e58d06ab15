// Reads an outbox in a separate thread, as a test's agent.
#pragma once

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/service/sessions.h"

namespace muster {

// The only reader of its outbox.
class OutboxReader {
 public:
  explicit OutboxReader(std::shared_ptr<Sessions::Outbox> outbox) : outbox_(std::move(outbox)) {
    outbox_->OnChange([changes = changes_] {
      absl::MutexLock lock(&changes->mutex);
      changes->some = true;
    });
  }

  // Waits for the next message. False: the outbox is closed.
  bool Next(muster::internal::v1::CoordinatorMessage& message) {
    using Found = Sessions::Outbox::Found;
    for (;;) {
      const Found found = outbox_->TryNext(message);
      if (found != Found::kNothing) return found == Found::kMessage;
      absl::MutexLock lock(&changes_->mutex);
      changes_->mutex.Await(absl::Condition(&changes_->some));
      changes_->some = false;
    }
  }

 private:
  struct Changes {
    absl::Mutex mutex;
    bool some ABSL_GUARDED_BY(mutex) = false;
  };
  const std::shared_ptr<Changes> changes_ = std::make_shared<Changes>();  // the outbox may outlive the reader
  const std::shared_ptr<Sessions::Outbox> outbox_;
};

}  // namespace muster
