// Dropout's masks: the same bits as the CPU's, at every site.
#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "tests/gpu/session.h"
#include "worker/rank/model/dropout.h"
#include "worker/rank/model/encoder_ops.h"

namespace muster {
namespace {

const std::vector<int64_t> kLengths = {1, 2, 2, 3, 17, 17, 17, 64, 130, 511};
constexpr int64_t kWidth = 104;  // not a multiple of a warp
constexpr int64_t kHeads = 3;

PackedBatch BatchOn(at::Device device) {
  PackedBatch batch;
  batch.lengths = kLengths;
  int64_t total = 0;
  for (size_t i = 0; i < kLengths.size(); ++i) {
    batch.slots.push_back(static_cast<uint32_t>(1000 + 7 * i));
    total += kLengths[i];
  }
  batch.tokens = at::zeros({total}, at::TensorOptions().dtype(at::kLong).device(device));
  return batch;
}

SequencePlanPtr PlanOn(at::Device device) {
  return MakeSequencePlan(BatchOn(device),
                          {.hidden = 0.1, .attention = 0.1, .seed = 0xfeedfacecafebeef, .step = 12345});
}

absl::Status Same(const at::Tensor& own, const at::Tensor& expected, Figures& figures) {
  const at::Tensor host = own.to(at::kCPU);
  const int64_t differing = host.ne(expected).sum().item<int64_t>();
  figures["elements"] = expected.numel();
  figures["dropped_share"] = expected.eq(0).to(at::kDouble).mean().item<double>();
  figures["differing"] = differing;
  return AtMost("number of elements that differ from the CPU's", static_cast<double>(differing), 0);
}

// The result of the row operations on ones, at a site.
at::Tensor MaskedOnes(at::Device device, at::ScalarType type, const RowMask& mask) {
  const SequencePlanPtr plan = PlanOn(device);
  const at::Tensor ones = at::ones({plan->rows, kWidth}, at::TensorOptions().dtype(type).device(device));
  at::Tensor out = at::empty_like(ones);
  EncoderOpsOf(device.type()).Activate(ones, /*bias=*/{}, Activation::kRelu, /*gated=*/false, mask, *plan, out);
  return out;
}

absl::Status CompareRows(const Session& session, at::ScalarType type, DropoutSite site, Figures& figures) {
  const RowMask mask{DropoutRate(0.1), {5, site}};
  return Same(MaskedOnes(session.device(), type, mask), MaskedOnes(at::kCPU, type, mask), figures);
}

absl::Status CompareProbabilities(const Session& session, at::ScalarType type, Figures& figures) {
  const SequencePlanPtr here = PlanOn(at::kCPU), there = PlanOn(session.device());
  std::vector<at::Tensor> own, expected;
  for (const Run& run : here->runs) {
    at::Tensor p = at::ones({run.count * kHeads, run.length, run.length}, type);
    at::Tensor q = p.to(session.device());
    DropoutOpsOf(c10::DeviceType::CPU).MaskProbabilities(p, run, DropoutRate(0.3), 7, *here, p);
    DropoutOpsOf(session.device().type()).MaskProbabilities(q, run, DropoutRate(0.3), 7, *there, q);
    expected.push_back(p.flatten());
    own.push_back(q.flatten());
  }
  return Same(at::cat(own), at::cat(expected), figures);
}

}  // namespace

void RunDropoutPart(Session& session) {
  constexpr std::pair<const char*, at::ScalarType> kTypes[] = {
      {"float32", at::kFloat}, {"float64", at::kDouble}, {"bfloat16", at::kBFloat16}};
  constexpr std::pair<const char*, DropoutSite> kSites[] = {{"embeddings", DropoutSite::kEmbeddings},
                                                            {"attention_output", DropoutSite::kAttentionOutput},
                                                            {"feed_forward", DropoutSite::kFeedForward}};
  for (const auto& [name, type] : kTypes) {
    for (const auto& [place, site] : kSites) {
      session.Test(absl::StrCat("dropout.bits.", name, ".", place),
                   [&](Figures& figures) { return CompareRows(session, type, site, figures); });
    }
    session.Test(absl::StrCat("dropout.bits.", name, ".probabilities"),
                 [&](Figures& figures) { return CompareProbabilities(session, type, figures); });
  }
}

}  // namespace muster
