// A rank for tests: the job's name selects its behavior.
//   succeed   started, progress, a checkpoint, an evaluation, an export, result SUCCESS, exit 0
//   wait      started, then runs until SIGTERM; then result STOPPED, exit 0
//   stubborn  started, ignores SIGTERM
//   crash     started, "about to crash" on stderr, exit 3
//   refuse    result PERMANENT, exit 1
//   noise     bytes on fd 3 that are not a message, then waits
//   linger    result SUCCESS, and does not exit
//   variables its environment on stderr, one line per variable; then like wait
#include <fcntl.h>
#include <google/protobuf/text_format.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "common/files.h"
#include "common/process/delimited_reader.h"
#include "muster/rank/v1/rank.pb.h"

namespace {

using muster::rank::v1::RankConfig;
using muster::rank::v1::RankMessage;

void Write(const std::string& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = write(3, bytes.data() + done, bytes.size() - done);
    if (count < 0) _exit(99);
    done += static_cast<size_t>(count);
  }
}
void Say(const RankMessage& message) { Write(muster::Delimited(message)); }

void SayStarted() {
  RankMessage message;
  message.mutable_started();
  Say(message);
}
void SayResult(muster::internal::v1::ExitCause cause, const std::string& text) {
  RankMessage message;
  message.mutable_result()->set_cause(cause);
  message.mutable_result()->set_message(text);
  Say(message);
}
[[noreturn]] void WaitForSignals() {
  while (true) pause();
}

void Succeed(const RankConfig& config) {
  SayStarted();
  std::fprintf(stderr, "rank %u of %u, %u threads\n", config.rank(), config.world_size(), config.threads());
  RankMessage message;
  message.mutable_progress()->set_step(3);
  Say(message);
  message.mutable_checkpoint()->mutable_checkpoint()->set_step(3);
  Say(message);
  message.mutable_evaluation()->set_label("trained");
  Say(message);
  message.mutable_exported()->set_manifest("abc");
  Say(message);
  SayResult(muster::internal::v1::EXIT_CAUSE_SUCCESS, "");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || std::strcmp(argv[1], "--config") != 0) return 98;
  const auto text = muster::ReadFile(argv[2]);
  RankConfig config;
  if (!text.ok() || !google::protobuf::TextFormat::ParseFromString(*text, &config)) return 97;
  const std::string what = config.spec().name();
  // Tests check that scratch folders are removed.
  if (!muster::WriteFileAtomically(config.scratch() + "/file", "x").ok()) return 96;
  if (what == "succeed") {
    Succeed(config);
    return 0;
  }
  if (what == "refuse") {
    SayResult(muster::internal::v1::EXIT_CAUSE_PERMANENT, "the scores are not finite");
    return 1;
  }
  if (what == "crash") {
    SayStarted();
    std::fprintf(stderr, "about to crash\n");
    return 3;
  }
  if (what == "noise") {
    Write("\x03zzz");
    WaitForSignals();
  }
  if (what == "linger") {
    SayResult(muster::internal::v1::EXIT_CAUSE_SUCCESS, "");
    WaitForSignals();
  }
  if (what == "variables") {
    for (char** entry = environ; *entry != nullptr; ++entry) std::fprintf(stderr, "%s\n", *entry);
  }
  if (what == "stubborn") {
    signal(SIGTERM, SIG_IGN);
    SayStarted();
    WaitForSignals();
  }
  sigset_t stop;  // wait
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGUSR1);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  SayStarted();
  std::fprintf(stderr, "pid %d\n", getpid());
  int signal = 0;
  sigwait(&stop, &signal);
  if (signal == SIGUSR1) {
    RankMessage message;
    message.mutable_checkpoint()->mutable_checkpoint()->set_step(7);
    Say(message);
  }
  SayResult(muster::internal::v1::EXIT_CAUSE_STOPPED, "stopped after step 7");
  return 0;
}
