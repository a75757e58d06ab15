// Against a libnvidia-ml.so built for this test.
#include "worker/agent/gpu_watch.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "absl/time/clock.h"

namespace muster {
namespace {

class GpuWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    library_ = dlopen(MUSTER_FAKE_NVML, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library_, nullptr) << dlerror();
    set_ = reinterpret_cast<void (*)(unsigned long long, unsigned long long)>(dlsym(library_, "fake_nvml_set"));
    raise_xid_ = reinterpret_cast<void (*)()>(dlsym(library_, "fake_nvml_raise_xid"));
    open_ = reinterpret_cast<int (*)()>(dlsym(library_, "fake_nvml_open"));
    set_(7, 0);
  }
  void TearDown() override { dlclose(library_); }

  std::string Text() const { return prometheus::TextSerializer().Serialize(metrics_.registry()->Collect()); }
  bool Has(const std::string& line) const { return Text().find(line + "\n") != std::string::npos; }
  void WaitFor(const std::string& line) const {
    const absl::Time until = absl::Now() + absl::Seconds(30);
    while (!Has(line)) {
      ASSERT_LT(absl::Now(), until) << line << " did not come in " << Text();
      absl::SleepFor(absl::Milliseconds(5));
    }
  }

  MetricRegistry metrics_{MetricProgram::kWorker, "1"};
  void* library_ = nullptr;
  void (*set_)(unsigned long long, unsigned long long) = nullptr;
  void (*raise_xid_)() = nullptr;
  int (*open_)() = nullptr;
};

TEST_F(GpuWatchTest, ReadsWhatEachGpuSupports) {
  const std::unique_ptr<Nvml> nvml = *Nvml::Open(MUSTER_FAKE_NVML);
  ASSERT_EQ(nvml->count(), 2);
  EXPECT_EQ(nvml->Name(0), "Fake GPU 0");
  EXPECT_EQ(nvml->Uuid(1), "GPU-fake-1");
  EXPECT_EQ(nvml->Name(2), std::nullopt);
  GpuMetrics gpus(metrics_);
  for (const uint32_t gpu : {0, 1}) gpus.Set(gpu, nvml->Read(gpu));
  gpus.End();
  for (const char* line : {"muster_gpu_utilization_ratio{gpu=\"0\"} 0.75", "muster_gpu_utilization_ratio{gpu=\"1\"} 0",
                           "muster_gpu_memory_used_bytes{gpu=\"0\"} 400", "muster_gpu_memory_size_bytes{gpu=\"0\"} 1000",
                           "muster_gpu_temperature_celsius{gpu=\"0\"} 61",
                           "muster_gpu_throttled{gpu=\"0\",reason=\"hardware_thermal\"} 0",
                           "muster_gpu_errors_total{gpu=\"0\",kind=\"ecc\"} 0",
                           "muster_gpu_errors_total{gpu=\"1\",kind=\"xid\"} 0"}) {
    EXPECT_TRUE(Has(line)) << line << Text();
  }
  EXPECT_EQ(Text().find("muster_gpu_memory_used_bytes{gpu=\"1\"}"), std::string::npos) << "it does not say";
  EXPECT_EQ(Text().find("muster_gpu_errors_total{gpu=\"1\",kind=\"ecc\"}"), std::string::npos) << "it does not say";
}

TEST_F(GpuWatchTest, SeesThrottlingAndCountsErrorsFromTheAgentsStart) {
  {
    const GpuWatch watch(*Nvml::Open(MUSTER_FAKE_NVML), metrics_, absl::Milliseconds(5));
    EXPECT_TRUE(Has("muster_gpu_errors_total{gpu=\"0\",kind=\"ecc\"} 0")) << "seven were there before";
    set_(9, 0x40 | 0x1);
    raise_xid_();
    WaitFor("muster_gpu_errors_total{gpu=\"0\",kind=\"ecc\"} 2");
    WaitFor("muster_gpu_errors_total{gpu=\"0\",kind=\"xid\"} 1");
    WaitFor("muster_gpu_throttled{gpu=\"0\",reason=\"hardware_thermal\"} 1");
    EXPECT_TRUE(Has("muster_gpu_throttled{gpu=\"0\",reason=\"software_power\"} 0"));
    set_(1, 0);  // the driver was loaded again, and one more error has occurred since
    WaitFor("muster_gpu_throttled{gpu=\"0\",reason=\"hardware_thermal\"} 0");
    EXPECT_TRUE(Has("muster_gpu_errors_total{gpu=\"0\",kind=\"ecc\"} 2"));
  }
  EXPECT_EQ(open_(), 0) << "NVML was not shut down";
}

TEST_F(GpuWatchTest, WithoutALibraryThereIsNothing) {
  EXPECT_EQ(Nvml::Open("libnvidia-ml-that-is-not-there.so").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Nvml::Open("libc.so.6").status().code(), absl::StatusCode::kFailedPrecondition) << "no NVML";
}

}  // namespace
}  // namespace muster
