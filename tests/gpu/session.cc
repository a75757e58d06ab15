#include "tests/gpu/session.h"

#include <ATen/TensorOperators.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/clock.h"

namespace muster {
namespace {

double SecondsNow() { return absl::ToDoubleSeconds(RealClock().Monotonic()); }

}  // namespace

void Session::Test(const std::string& name, absl::FunctionRef<absl::Status(Figures&)> body) {
  Figures figures = Figures::object();
  const double start = SecondsNow();
  absl::Status status;
  try {
    status = body(figures);
    Synchronize(device());  // an error on the GPU belongs to this test
  } catch (const std::exception& error) {
    const std::string text = error.what();
    status = absl::InternalError(text.substr(0, text.find('\n')));
  }
  Figures line;
  line["name"] = name;
  line["passed"] = status.ok();
  line["seconds"] = SecondsNow() - start;
  line["figures"] = figures;
  if (!status.ok()) line["message"] = std::string(status.message());
  std::ofstream(results_, std::ios::app) << line.dump(-1, ' ', false, Figures::error_handler_t::replace) << std::endl;
  all_passed_ = all_passed_ && status.ok();
}

absl::Status AtMost(const char* what, double value, double limit) {
  if (value <= limit) return absl::OkStatus();  // false for NaN
  return absl::InternalError(absl::StrCat(what, " is ", value, ", at most ", limit, " is allowed"));
}

absl::Status Both(const absl::Status& first, const absl::Status& second) { return first.ok() ? second : first; }

double RelativeDifference(const at::Tensor& own, const at::Tensor& reference) {
  const at::Tensor wide = reference.detach().to(at::kCPU, at::kDouble);
  const double norm = wide.norm().item<double>();
  const double error = (own.detach().to(at::kCPU, at::kDouble) - wide).norm().item<double>();
  if (norm == 0) return error == 0 ? 0 : std::numeric_limits<double>::infinity();
  return error / norm;
}

void Synchronize(at::Device device) {
  if (!device.is_cpu()) c10::impl::getDeviceGuardImpl(device.type())->synchronizeDevice(device.index());
}

double LeastSeconds(at::Device device, int repeats, absl::FunctionRef<void()> work) {
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i <= repeats; ++i) {
    Synchronize(device);
    const double start = SecondsNow();
    work();
    Synchronize(device);
    if (i > 0) least = std::min(least, SecondsNow() - start);
  }
  return least;
}

int64_t PeakBytes(at::Device device, absl::FunctionRef<void()> work) {
  if (device.is_cpu()) {
    work();
    return 0;
  }
  const auto total = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  c10::DeviceAllocator* allocator = c10::getDeviceAllocator(device.type());
  Synchronize(device);
  allocator->emptyCache();
  allocator->resetPeakStats(device.index());
  const int64_t before = allocator->getDeviceStats(device.index()).allocated_bytes[total].current;
  work();
  Synchronize(device);
  return allocator->getDeviceStats(device.index()).allocated_bytes[total].peak - before;
}

}  // namespace muster
