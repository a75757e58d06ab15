#include "common/process/stop_signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace muster {
namespace {

// A child that writes "r" when it waits and "w" when the first signal has arrived, and then never ends by itself.
struct Child {
  pid_t pid = 0;
  int words = -1;
  char Word() const {
    char word = 0;
    EXPECT_EQ(read(words, &word, 1), 1);
    return word;
  }
};

Child Start() {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    StopSignals signals;
    if (write(ends[1], "r", 1) != 1) _exit(90);
    const int signal = signals.Wait();
    signals.ExitOnNext(3);
    if (write(ends[1], signal == SIGTERM ? "t" : "i", 1) != 1) _exit(91);
    while (true) pause();
  }
  close(ends[1]);
  return {pid, ends[0]};
}

TEST(StopSignals, TheFirstIsWaitedForAndTheSecondEndsTheProcess) {
  for (const int first : {SIGTERM, SIGINT}) {
    const Child child = Start();
    EXPECT_EQ(child.Word(), 'r');
    kill(child.pid, first);
    EXPECT_EQ(child.Word(), first == SIGTERM ? 't' : 'i');
    kill(child.pid, SIGTERM);
    int status = 0;
    EXPECT_EQ(waitpid(child.pid, &status, 0), child.pid);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 3);
    close(child.words);
  }
}

}  // namespace
}  // namespace muster
