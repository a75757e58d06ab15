// muster-gpu-test: the parts of the GPU tests, and the ranks that they start. tests/gpu/run starts it.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/gpu/ranks.h"
#include "tests/gpu/session.h"
#include "worker/rank/cuda/load.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr int kFailed = 1, kUsage = 2, kNoGpu = 3;

// Nine minutes in total.
constexpr Part kParts[] = {
    {"loss", 30, RunLossPart},       {"loss_size", 30, RunLossSizePart},    {"dropout", 25, RunDropoutPart},
    {"encoder", 40, RunEncoderPart}, {"collective", 55, RunCollectivePart}, {"failure", 70, RunFailurePart},
    {"step", 60, RunStepPart},       {"resume", 35, RunResumePart},         {"production", 70, RunProductionPart},
    {"scaling", 45, RunScalingPart}, {"speed", 80, RunSpeedPart},
};

// Prints the hardware as JSON on standard output. Exit code 3, with the reason on standard error: no GPU can be used.
int Probe() {
  const auto cuda = LoadCuda();
  if (!cuda.ok()) {
    std::fprintf(stderr, "%s\n", std::string(cuda.status().message()).c_str());
    return kNoGpu;
  }
  std::printf("%s\n", Figures({{"gpus", (*cuda)->CountDevices().value_or(0)}}).dump().c_str());
  return 0;
}

// Whether all libraries of the plug-in can be loaded: it is opened without using a GPU.
int OpenPlugin() {
  const fs::path file = fs::read_symlink("/proc/self/exe").parent_path() / "libmuster_cuda.so";
  if (dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return kFailed;
  }
  // The libraries that are mapped now: a test compares this with what was packed.
  std::FILE* maps = std::fopen("/proc/self/maps", "r");
  char line[4096];
  while (maps != nullptr && std::fgets(line, sizeof(line), maps) != nullptr) std::fputs(line, stdout);
  if (maps != nullptr) std::fclose(maps);
  return 0;
}

int RunPart(const std::string& name, bool gpu, const fs::path& results) {
  for (const Part& part : kParts) {
    if (name != part.name) continue;
    CudaBackend* cuda = nullptr;
    if (gpu) {
      const auto loaded = LoadCuda();
      if (!loaded.ok() || !(*loaded)->SetDevice(at::Device(at::kCUDA, 0)).ok()) {
        std::fprintf(stderr, "%s\n", std::string(loaded.status().message()).c_str());
        return kNoGpu;
      }
      cuda = *loaded;
    }
    Session session(cuda, results);
    part.run(session);
    return session.all_passed() ? 0 : kFailed;
  }
  std::fprintf(stderr, "no part is called %s\n", name.c_str());
  return kUsage;
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  using namespace muster;  // NOLINT
  std::string part, device = "gpu", results;
  bool list = false, probe = false, open_plugin = false;
  RankOrder order;
  CLI::App app("The parts of the GPU tests; ./tests/gpu/run runs them all.", "muster-gpu-test");
  app.add_flag("--list", list, "print the parts and the seconds that each may take");
  app.add_flag("--probe", probe, "print the GPUs; exit code 3 where there is none");
  app.add_flag("--open-plugin", open_plugin, "open libmuster_cuda.so and print what is mapped then");
  app.add_option("--part", part, "run this part");
  app.add_option("--device", device, "gpu or cpu")->check(CLI::IsMember({"gpu", "cpu"}));
  app.add_option("--results", results, "a line of JSON is appended for each test");
  app.add_option("--task", order.task, "be a rank with this task");
  app.add_option("--rank", order.rank, "number of the rank");
  app.add_option("--world", order.world_size, "number of ranks");
  app.add_option("--folder", order.folder, "where the ranks meet");
  app.add_option("--timeout", order.timeout_seconds, "seconds of the meeting and of each operation");
  CLI11_PARSE(app, argc, argv);
  setenv("MKL_CBWR", "AUTO", /*overwrite=*/0);  // MKL rounds the same from run to run
  if (list) {
    for (const Part& one : kParts) std::printf("%s %d\n", one.name, one.budget_seconds);
    return 0;
  }
  if (probe) return Probe();
  if (open_plugin) return OpenPlugin();
  if (!order.task.empty()) {
    order.gpu = device == "gpu";
    return RunRank(order);
  }
  return RunPart(part, device == "gpu", results);
}
