// On a machine with a GPU the CUDA side must load; on any other machine LoadCuda must report in one line why it does not.
#include "worker/rank/cuda/load.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "common/files.h"
#include "test_paths.h"

namespace muster {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

const std::filesystem::path kFolder = MUSTER_BINARY_DIR;

TEST(LoadCuda, LoadsOrNamesWhatIsMissing) {
  const auto backend = LoadCuda(kFolder);
  EXPECT_EQ(LoadCuda("/nowhere").status(), backend.status()) << "the first answer stands";
  if (backend.ok()) {
    EXPECT_EQ(&TileOpsOf(c10::DeviceType::CUDA), &(*backend)->tile_ops());
    EXPECT_EQ(&DropoutOpsOf(c10::DeviceType::CUDA), &(*backend)->dropout_ops());
    EXPECT_GT((*backend)->CountDevices().value(), 0);
    return;
  }
  const std::string message(backend.status().message());
  std::cout << message << "\n";
  EXPECT_EQ(backend.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  EXPECT_THAT(message, testing::AnyOf(ContainsRegex("libtorch_cuda\\.so does not load: lib[a-zA-Z0-9_]+\\.so[.0-9]*: "
                                                    "cannot open shared object file.*deploy/bootstrap"),
                                      HasSubstr("CUDA finds no GPU: ")));
  EXPECT_THROW(TileOpsOf(c10::DeviceType::CUDA), c10::Error);
  EXPECT_THROW(DropoutOpsOf(c10::DeviceType::CUDA), c10::Error);
}

TEST(CudaPlugin, OpensWithoutADriverAndCountsDevices) {
  void* library = dlopen((kFolder / "libmuster_cuda.so").c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  void* symbol = dlsym(library, "MusterCudaBackend");
  ASSERT_NE(symbol, nullptr) << dlerror();
  CudaBackend* backend = reinterpret_cast<CudaBackend* (*)()>(symbol)();
  const auto count = backend->CountDevices();
  if (count.ok()) {
    EXPECT_GT(*count, 0);
  } else {
    EXPECT_EQ(count.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(count.status().message()), HasSubstr("CUDA finds no GPU: "));
  }
}

template <typename T>
T At(const std::string& bytes, size_t offset) {
  T value{};
  if (offset + sizeof(T) <= bytes.size()) std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// The compute capabilities of the machine code in each of a file's fat binaries. The layout is fatbinary_section.h's
// container: a header of magic, version (16 bit), header size (16), size (64); then entries of kind (16; 2: machine
// code), version (16), header size (32), size (64), ..., capability (32) at byte 28.
std::vector<std::set<uint32_t>> CapabilitiesIn(const std::string& bytes) {
  const uint32_t magic = 0xBA55ED50;
  std::vector<std::set<uint32_t>> all;
  for (size_t at = 0; (at = bytes.find(std::string(reinterpret_cast<const char*>(&magic), 4), at)) != std::string::npos;
       at += 4) {
    const size_t header = At<uint16_t>(bytes, at + 6), end = at + header + At<uint64_t>(bytes, at + 8);
    if (At<uint16_t>(bytes, at + 4) != 1 || header < 16 || end > bytes.size()) continue;
    std::set<uint32_t>& own = all.emplace_back();
    for (size_t entry = at + header; entry < end;) {
      const uint64_t size = At<uint32_t>(bytes, entry + 4) + At<uint64_t>(bytes, entry + 8);
      if (At<uint16_t>(bytes, entry) == 2) own.insert(At<uint32_t>(bytes, entry + 28));
      if (size == 0) break;
      entry += size;
    }
  }
  return all;
}

TEST(CudaPlugin, HoldsEveryKernelForAmpereHopperAndBlackwell) {
  const auto bytes = ReadFile(kFolder / "libmuster_cuda.so");
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  const auto all = CapabilitiesIn(*bytes);
  EXPECT_EQ(all.size(), 8) << "one for each file of kernels";
  for (const auto& capabilities : all) EXPECT_THAT(capabilities, testing::ElementsAre(80, 90, 100));
}

}  // namespace
}  // namespace muster
