#include "worker/rank/link/agent_pipe.h"

#include <google/protobuf/util/delimited_message_util.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

namespace muster {

absl::Status AgentPipe::Send(const muster::rank::v1::RankMessage& message) {
  std::ostringstream stream;
  google::protobuf::util::SerializeDelimitedToOstream(message, &stream);
  const std::string bytes = std::move(stream).str();
  absl::MutexLock lock(&writing_);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t written = write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return absl::UnavailableError("the agent closed its pipe");
    done += static_cast<size_t>(written);
  }
  return absl::OkStatus();
}

void AgentPipe::WaitUntilClosed() const {
  pollfd entry{.fd = descriptor_, .events = 0, .revents = 0};
  while (poll(&entry, 1, -1) < 0 && errno == EINTR) {
  }
}

}  // namespace muster
