#include "coordinator/data/import/parquet_reader.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status.h"

extern char** environ;

namespace muster {
namespace {

struct Child {
  pid_t pid = -1;
  int output = -1, errors = -1;
};

absl::StatusOr<Child> Start(const std::filesystem::path& program, const std::filesystem::path& file) {
  int output[2], errors[2];
  if (pipe2(output, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe");
  if (pipe2(errors, O_CLOEXEC) != 0) {
    close(output[0]), close(output[1]);
    return absl::ErrnoToStatus(errno, "pipe");
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors[1], STDERR_FILENO);
  std::string name = program.string(), path = file.string();
  char* arguments[] = {name.data(), path.data(), nullptr};
  Child child = {.output = output[0], .errors = errors[0]};
  const int failed = posix_spawn(&child.pid, name.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(output[1]), close(errors[1]);
  if (failed == 0) return child;
  close(output[0]), close(errors[0]);
  return absl::ErrnoToStatus(failed, name);
}

std::string ReadAll(int file) {
  std::string text(4096, '\0');
  const ssize_t count = read(file, text.data(), text.size());
  text.resize(count > 0 ? static_cast<size_t>(count) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

std::filesystem::path ParquetProgram() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "muster-parquet" : self.parent_path() / "muster-parquet";
}

ParquetReader::~ParquetReader() {
  std::error_code error;
  std::filesystem::remove(scratch_, error);
}

absl::Status ParquetReader::Feed(std::string_view bytes) {
  if (spool_ == nullptr) spool_.reset(std::fopen(scratch_.c_str(), "wb"));
  if (spool_ != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), spool_.get()) == bytes.size()) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(scratch_.string(), ": cannot be written. Is the disk full?"));
}

absl::Status ParquetReader::Finish() {
  if (spool_ == nullptr || std::fclose(spool_.release()) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat(scratch_.string(), ": cannot be written. Is the disk full?"));
  }
  const absl::Status status = ReadRows();
  std::error_code error;
  std::filesystem::remove(scratch_, error);
  return status;
}

absl::Status ParquetReader::ReadRows() {
  if (access(program_.c_str(), X_OK) != 0) {
    return absl::UnimplementedError(absl::StrCat(
        file_, ": is a Parquet file, and this data server was built without the reader of Parquet (", program_.string(),
        "). Convert the file to JSON Lines, for example with Python: pandas.read_parquet(FILE).to_json(\"rows.jsonl\", "
        "orient=\"records\", lines=True)."));
  }
  ASSIGN_OR_RETURN(const Child child, Start(program_, scratch_));
  LineSplitter lines(file_, sink_);
  std::vector<char> buffer(1 << 18);
  absl::Status status;
  ssize_t count = 0;
  while (status.ok() && (count = read(child.output, buffer.data(), buffer.size())) != 0) {
    if (count > 0) status = lines.Feed({buffer.data(), static_cast<size_t>(count)});
    if (count < 0 && errno != EINTR) status = absl::ErrnoToStatus(errno, "muster-parquet");
  }
  if (!status.ok()) kill(child.pid, SIGKILL);
  const std::string error = ReadAll(child.errors);
  close(child.output), close(child.errors);
  int code = 0;
  while (waitpid(child.pid, &code, 0) < 0 && errno == EINTR) {
  }
  RETURN_IF_ERROR(status);
  if (WIFEXITED(code) && WEXITSTATUS(code) == 0) return lines.Finish();
  return absl::InvalidArgumentError(absl::StrCat(file_, ": the Parquet file cannot be read: ",
                                                 error.empty() ? "its reader ended early" : error, ". Write it again."));
}

}  // namespace muster
