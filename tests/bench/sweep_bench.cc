// muster-sweep-bench [BLOBS]: seconds and memory of a data server's garbage collection alone (muster-scale-bench garbage: with
// a coordinator). The program plays the coordinator: it names half of the blobs as needed, in messages of 10,000 digests; the
// others are removed. Blobs are empty files, so the disk holds only their names.
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "common/clock.h"
#include "common/digest.h"
#include "common/exit_code.h"
#include "common/files.h"
#include "common/status.h"
#include "coordinator/data/service/sweep.h"
#include "tests/bench/process_memory.h"

namespace muster {
namespace {

std::string DigestOf(uint32_t i) { return Sha256Hex(std::to_string(i)); }

absl::Status Measure(uint32_t blobs) {
  ASSIGN_OR_RETURN(const std::filesystem::path root, MakeScratchFolder(std::filesystem::temp_directory_path(), "sweep-bench"));
  ASSIGN_OR_RETURN(const auto stores, OpenDataStores(root, RealClock()));
  for (uint32_t i = 0; i < blobs; ++i) {
    const std::string digest = DigestOf(i);
    const std::filesystem::path folder = root / "blobs" / digest.substr(0, 2);
    if (i < 4096) std::filesystem::create_directories(folder);
    std::ofstream(folder / digest).flush();
  }
  uint32_t next = 0;
  const auto request = [&](internal::v1::SweepRequest& message) {
    if (next == 0) {
      message.set_epoch(1);
      message.set_unused_seconds(absl::ToInt64Seconds(kLeastUnused));
    }
    for (int i = 0; i < 10'000 && next < blobs; ++i, next += 2) message.add_blobs(DigestOf(next));
    message.set_last(next >= blobs);
    return true;
  };
  BeginPeak();
  const double before = StatusMib("VmRSS");
  const absl::Duration start = RealClock().Monotonic();
  internal::v1::SweepRequest first;
  request(first);
  ASSIGN_OR_RETURN(const auto swept, SweepStores(*stores, first, request, RealClock().Now() + absl::Hours(2)));
  const absl::Duration took = RealClock().Monotonic() - start;
  std::printf("%u blobs, half of them needed: %lu removed in %.1f s, %.0f MiB of memory at most\n", blobs,
              swept.response.kinds(0).count(), absl::ToDoubleSeconds(took), StatusMib("VmHWM") - before);
  std::filesystem::remove_all(root);
  return absl::OkStatus();
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  uint32_t blobs = 1'000'000;
  const char* end = argc > 1 ? argv[1] + std::strlen(argv[1]) : nullptr;
  if (argc > 2 || (argc > 1 && (std::from_chars(argv[1], end, blobs).ptr != end || blobs < 2))) {
    std::fprintf(stderr, "usage: muster-sweep-bench [BLOBS]\n");
    return muster::kExitUsage;
  }
  if (const absl::Status status = muster::Measure(blobs); !status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return muster::ExitCodeFor(status);
  }
  return muster::kExitSucceeded;
}
