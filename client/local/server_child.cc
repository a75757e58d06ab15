#include "client/local/server_child.h"

#include <fcntl.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/files.h"
#include "common/status.h"

namespace muster {
namespace {

constexpr absl::Duration kLongEnough = absl::Seconds(30);  // the count of failures restarts at 0 after a run of this length
constexpr uint64_t kMaxLogBytes = 16 << 20;

}  // namespace

absl::StatusOr<ServerPorts> ReadPortFile(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  const nlohmann::json value = nlohmann::json::parse(text, nullptr, false);
  const auto is_port = [&](const char* key) { return value.value(key, nlohmann::json(0)).is_number_integer(); };
  if (!value.is_object() || !value.contains("metrics_port") || !is_port("port") || !is_port("metrics_port") ||
      !is_port("health_port")) {
    return absl::DataLossError(absl::StrCat(file.string(), ": not {\"port\": N, \"metrics_port\": N, \"health_port\": N}"));
  }
  return ServerPorts{value.value("port", 0), value["metrics_port"].get<int>(), value.value("health_port", 0)};
}

absl::Duration RestartDelay(int failures) {
  return std::min(absl::Milliseconds(200) * (1 << std::clamp(failures - 1, 0, 10)), absl::Seconds(5));
}

ServerChild::~ServerChild() {
  if (process_.has_value()) options_.loop->Forget(process_->pidfd());
}

absl::StatusOr<ChildProcess> ServerChild::StartProcess() const {
  std::error_code ignored;
  std::filesystem::remove(options_.port_file, ignored);
  if (std::filesystem::file_size(options_.log_file, ignored) > kMaxLogBytes && !ignored) {
    std::filesystem::rename(options_.log_file, options_.log_file.string() + ".1", ignored);
  }
  ASSIGN_OR_RETURN(const OwnedFd nothing, OpenFd("/dev/null", O_RDONLY));
  ASSIGN_OR_RETURN(const OwnedFd log, OpenFd(options_.log_file, O_WRONLY | O_CREAT | O_APPEND));
  ChildProcess::Options child;
  child.argv = options_.arguments(options_.ports);
  child.fds = {{0, nothing.get()}, {1, log.get()}, {2, log.get()}};
  return ChildProcess::Start(child);
}

absl::Status ServerChild::Start(absl::Duration now) {
  started_at_ = now;
  absl::StatusOr<ChildProcess> process = StartProcess();
  if (!process.ok()) {
    restart_at_ = now + RestartDelay(++failures_);
    return process.status();
  }
  restart_at_.reset();
  process_.emplace(*std::move(process));
  options_.loop->Watch(process_->pidfd(), options_.on_end);
  return absl::OkStatus();
}

bool ServerChild::LearnPorts() {
  const auto ports = ReadPortFile(options_.port_file);
  if (ports.ok()) options_.ports = *ports;
  return ports.ok();
}

void ServerChild::Signal(int signal) {
  asked_to_end_ = true;
  restart_at_.reset();
  if (process_.has_value()) process_->Signal(signal);
}

void ServerChild::Check(absl::Duration now) {
  if (!process_.has_value()) return;
  const std::optional<ExitStatus> status = process_->TryReap();
  if (!status.has_value()) return;
  options_.loop->Forget(process_->pidfd());
  process_.reset();
  end_ = DescribeExit(*status);
  if (asked_to_end_) return;
  failures_ = now - started_at_ >= kLongEnough ? 1 : failures_ + 1;
  restart_at_ = now + RestartDelay(failures_);
}

std::string ServerChild::last_words() const {
  const auto log = ReadFile(options_.log_file);
  if (!log.ok()) return end_;
  const std::vector<std::string> lines = absl::StrSplit(*log, '\n', absl::SkipWhitespace());
  return lines.empty() ? end_ : absl::StrCat(end_, ": ", std::string(absl::StripAsciiWhitespace(lines.back())));
}

}  // namespace muster
