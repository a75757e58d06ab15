// Specifications from the network. Laws: filling in defaults is idempotent; a refusal has a message.
#include "common/spec/job_spec.h"

#include "common/retrieval/metric_name.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/random_message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  muster::ByteSource source(data, size);
  muster::v1::JobSpec spec;
  if (source.Coin()) {
    const std::string_view bytes = source.Rest();
    if (!spec.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return 0;
  } else {
    muster::FillMessage(source, {"a", "data", "dev", "train", "ndcg@10", "mrr", "tiny", "job:a", "map@0"}, spec);
  }
  muster::ParseMetricName(spec.evaluate().metric()).IgnoreError();
  muster::FillDefaults(spec);
  muster::v1::JobSpec again = spec;
  muster::FillDefaults(again);
  FUZZ_CHECK(spec.ByteSizeLong() == again.ByteSizeLong(), "defaults are filled in twice");
  const absl::Status status = muster::ValidateJobSpec(spec);
  FUZZ_CHECK(status.ok() || !status.message().empty(), "an error without words");
  if (!status.ok()) return 0;
  FUZZ_CHECK(spec.ByteSizeLong() <= 64 << 10, "a specification that is too large to keep");
  FUZZ_CHECK(muster::v1::Device_IsValid(spec.resources().device()), "an unknown device");
  FUZZ_CHECK(muster::v1::Objective_IsValid(spec.loss().objective()), "an unknown objective");
  return 0;
}
