// The environment of a part of the GPU tests: the device, and the results.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "worker/rank/cuda/backend.h"

namespace muster {

using Figures = nlohmann::ordered_json;  // what a test measured, by name, including the unit

class Session {
 public:
  // `cuda`: null in a rehearsal, whose tests run on the CPU. `results`: a line of JSON is appended for each test.
  Session(CudaBackend* cuda, std::filesystem::path results) : cuda_(cuda), results_(std::move(results)) {}

  bool on_gpu() const { return cuda_ != nullptr; }
  CudaBackend* cuda() const { return cuda_; }
  at::Device device() const { return on_gpu() ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU); }

  // Runs one test: it has passed if it returns OK. Exceptions fail it. `name` is dotted, PART first.
  void Test(const std::string& name, absl::FunctionRef<absl::Status(Figures&)> body);
  bool all_passed() const { return all_passed_; }

 private:
  CudaBackend* const cuda_;
  const std::filesystem::path results_;
  bool all_passed_ = true;
};

// A part runs in a separate process and is stopped after `budget_seconds` (by tests/gpu/run).
struct Part {
  const char* name;
  int budget_seconds;
  void (*run)(Session& session);
};

// Fails, describing `what`, if `value` is above `limit` or not a number.
absl::Status AtMost(const char* what, double value, double limit);
// The first failure of the two.
absl::Status Both(const absl::Status& first, const absl::Status& second);

// norm(own - reference) / norm(reference), in float64 on the CPU.
double RelativeDifference(const at::Tensor& own, const at::Tensor& reference);

// Waits for all work of a GPU; nothing on the CPU.
void Synchronize(at::Device device);
// Seconds of one call of `work`, including the GPU's work: the minimum of `repeats` after one call to warm up.
double LeastSeconds(at::Device device, int repeats, absl::FunctionRef<void()> work);
// The most bytes that torch's allocator had given out while `work` ran, minus those before it; 0 on the CPU.
int64_t PeakBytes(at::Device device, absl::FunctionRef<void()> work);

void RunLossPart(Session& session);
void RunLossSizePart(Session& session);
void RunDropoutPart(Session& session);
void RunEncoderPart(Session& session);
void RunCollectivePart(Session& session);
void RunFailurePart(Session& session);
void RunStepPart(Session& session);
void RunResumePart(Session& session);
void RunProductionPart(Session& session);
void RunScalingPart(Session& session);
void RunSpeedPart(Session& session);

}  // namespace muster
