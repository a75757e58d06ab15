#include "worker/rank/cuda/load.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/exception_status.h"
#include "common/status.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr char kRemedy[] = "Run deploy/bootstrap on a machine with an NVIDIA driver, and build again";

// The folder of the library that holds torch's CPU half.
absl::StatusOr<fs::path> TorchFolder() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&at::globalContext), &info) == 0 || info.dli_fname == nullptr) {
    return absl::FailedPreconditionError("cannot find the path of libtorch_cpu.so");
  }
  return fs::path(info.dli_fname).parent_path();
}

// Never closed, because what the library registers stays registered.
absl::StatusOr<void*> Open(const fs::path& file, int visibility) {
  void* library = dlopen(file.c_str(), RTLD_NOW | visibility);
  if (library != nullptr) return library;
  const char* reason = dlerror();  // begins with the library that is missing
  return absl::FailedPreconditionError(
      absl::StrCat(file.string(), " does not load: ", reason != nullptr ? reason : "unknown error", ". ", kRemedy));
}

absl::StatusOr<CudaBackend*> OpenBackend(const fs::path& folder) {
  ASSIGN_OR_RETURN(const fs::path torch, TorchFolder());
  RETURN_IF_ERROR(Open(torch / "libtorch_cuda.so", RTLD_GLOBAL).status());
  std::error_code error;
  const fs::path beside = folder.empty() ? fs::read_symlink("/proc/self/exe", error).parent_path() : folder;
  ASSIGN_OR_RETURN(void* library, Open(beside / "libmuster_cuda.so", RTLD_LOCAL));
  void* symbol = dlsym(library, "MusterCudaBackend");
  if (symbol == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat((beside / "libmuster_cuda.so").string(), " comes from another build"));
  }
  return reinterpret_cast<CudaBackend* (*)()>(symbol)();
}

void MakeDeterministic() {
  at::Context& context = at::globalContext();
  context.setDeterministicAlgorithms(true, /*warn_only=*/false);
  context.setDeterministicFillUninitializedMemory(false);  // would only cost time: nothing reads memory before it is written
  context.setBenchmarkCuDNN(false);
  context.setDeterministicCuDNN(true);
  context.setAllowTF32CuBLAS(false);
  context.setAllowTF32CuDNN(false);
  context.setAllowBF16ReductionCuBLAS(/*allow_reduced_precision=*/false, /*allow_splitk=*/true);
}

absl::StatusOr<CudaBackend*> Load(const fs::path& folder) try {
  // cuBLAS adds in the same order in every run; torch requires it for deterministic algorithms.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  ASSIGN_OR_RETURN(CudaBackend * backend, OpenBackend(folder));
  RETURN_IF_ERROR(backend->CountDevices().status());
  if (!at::detail::getCUDAHooks().hasCUDA()) {
    return absl::FailedPreconditionError("torch asked for its CUDA half before LoadCuda(), and keeps to the answer");
  }
  at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
  MakeDeterministic();
  RegisterTileOps(c10::DeviceType::CUDA, backend->tile_ops());
  RegisterDropoutOps(c10::DeviceType::CUDA, backend->dropout_ops());
  RegisterEncoderOps(c10::DeviceType::CUDA, backend->encoder_ops());
  RegisterAttentionOps(c10::DeviceType::CUDA, backend->attention_ops());
  return backend;
} catch (const std::exception& error) {
  return StatusFromException(absl::StatusCode::kFailedPrecondition, "", error);
}

}  // namespace

absl::StatusOr<CudaBackend*> LoadCuda(const fs::path& folder) {
  static const absl::StatusOr<CudaBackend*> backend = Load(folder);
  return backend;
}

}  // namespace muster
