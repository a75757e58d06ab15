// attention_kernels.cu on the host, against the definition of worker/rank/model/attention_ops.h in float64.
#include "worker/rank/cuda/attention_kernels.h"

#include <numeric>

#include "worker/rank/cuda/testing/kernel_cases.h"

namespace muster::cuda {
namespace {

using Bfloat = __nv_bfloat16;

struct Form {
  std::vector<int64_t> lengths;
  int64_t heads, key_value_heads, d;
  bool causal;
  int64_t window;
  uint32_t threshold;
};

class Attention {
 public:
  explicit Attention(Form form) : form_(std::move(form)), first_rows_(form_.lengths.size() + 1) {
    std::partial_sum(form_.lengths.begin(), form_.lengths.end(), first_rows_.begin() + 1);
    for (size_t s = 0; s < form_.lengths.size(); ++s) keys_.push_back(static_cast<int64_t>(0x9e3779b97f4a7c15 * (s + 5)));
    rows = first_rows_.back(), width = (form_.heads + 2 * form_.key_value_heads) * form_.d;
    qkv = RandomNumbers<Bfloat>(rows * width, 1, 2);
    d_out = RandomNumbers<Bfloat>(rows * form_.heads * form_.d, 2);
  }

  AttentionBackwardJob Job() const {
    AttentionBackwardJob job;
    job.rows = rows, job.longest = *std::max_element(form_.lengths.begin(), form_.lengths.end());
    job.heads = form_.heads, job.key_value_heads = form_.key_value_heads, job.head_size = form_.d;
    job.causal = form_.causal, job.window = form_.window;
    job.mask = {.keys = keys_.data(), .first_rows = first_rows_.data(),
                .sequences = static_cast<int64_t>(keys_.size()), .layer = 4, .site = 3, .threshold = form_.threshold,
                .scale = 65536.0 / (65536 - form_.threshold)};
    job.qkv = qkv.data(), job.d_out = d_out.data();
    return job;
  }

  // All results, computed by definition.
  void Evaluate() {
    out.assign(rows * form_.heads * form_.d, 0), lse.assign(form_.heads * rows, 0), d_qkv.assign(rows * width, 0);
    for (size_t s = 0; s < keys_.size(); ++s) {
      for (int64_t h = 0; h < form_.heads; ++h) EvaluateHead(s, h);
    }
  }

  int64_t rows = 0, width = 0;
  std::vector<Bfloat> qkv, d_out;
  std::vector<double> out, lse, d_qkv;

 private:
  void EvaluateHead(size_t s, int64_t h) {
    const int64_t first = first_rows_[s], length = form_.lengths[s], d = form_.d;
    const int64_t shared = h / (form_.heads / form_.key_value_heads);
    const int64_t q = h * d, k = (form_.heads + shared) * d, v = (form_.heads + form_.key_value_heads + shared) * d;
    const double scale = 1 / std::sqrt(static_cast<double>(d));
    const RowsMask mask = Job().mask;
    const auto at = [&](int64_t row, int64_t column) { return (first + row) * width + column; };
    const auto dot = [&](int64_t i, int64_t j, int64_t left, int64_t right) {
      double sum = 0;
      for (int64_t c = 0; c < d; ++c) sum += double{qkv[at(i, left + c)]} * double{qkv[at(j, right + c)]};
      return sum;
    };
    for (int64_t i = 0; i < length; ++i) {
      std::vector<double> p(length, 0), kept(length, 1), d_p(length, 0);
      double total = 0, delta = 0;
      for (int64_t j = 0; j < length; ++j) {
        const bool seen = (form_.window == 0 || std::abs(i - j) <= form_.window) && (!form_.causal || j <= i);
        if (seen) p[j] = std::exp(dot(i, j, q, k) * scale);
        total += p[j];
        // A head's row of L numbers begins at element (h * L + i) * L: as a row of width L.
        const uint64_t element = static_cast<uint64_t>((h * length + i) * length + j);
        const auto words = Philox({static_cast<uint32_t>(element / 8), static_cast<uint32_t>(element / 8 >> 32), 0, 0},
                                  MixKey(MixKey(static_cast<uint64_t>(keys_[s]), mask.layer), mask.site));
        const uint32_t decision = words[element % 8 / 2] >> (element % 2 * 16) & 0xffff;
        if (mask.threshold > 0) kept[j] = decision < mask.threshold ? 0 : mask.scale;
      }
      lse[h * rows + first + i] = std::log(total);
      const int64_t o = (first + i) * form_.heads * d + h * d;
      for (int64_t j = 0; j < length; ++j) {
        p[j] /= total;
        for (int64_t c = 0; c < d; ++c) {
          out[o + c] += kept[j] * p[j] * double{qkv[at(j, v + c)]};
          d_qkv[at(j, v + c)] += kept[j] * p[j] * double{d_out[o + c]};
          d_p[j] += kept[j] * double{d_out[o + c]} * double{qkv[at(j, v + c)]};
        }
        delta += p[j] * d_p[j];
      }
      for (int64_t j = 0; j < length; ++j) {
        const double d_s = p[j] * (d_p[j] - delta) * scale;
        for (int64_t c = 0; c < d; ++c) {
          d_qkv[at(i, q + c)] += d_s * double{qkv[at(j, k + c)]};
          d_qkv[at(j, k + c)] += d_s * double{qkv[at(i, q + c)]};
        }
      }
    }
  }

  Form form_;
  std::vector<int64_t> first_rows_, keys_;
};

struct Result {
  std::vector<Bfloat> out, d_qkv;
  std::vector<float> lse;
};

Result RunKernels(const Attention& attention, int64_t heads, int64_t d) {
  Result result{Unwritten<Bfloat>(attention.rows * heads * d), Unwritten<Bfloat>(attention.rows * attention.width),
                Unwritten<float>(heads * attention.rows)};
  auto delta = Unwritten<float>(heads * attention.rows);
  AttentionBackwardJob job = attention.Job();
  job.out = result.out.data(), job.lse = result.lse.data(), job.d_qkv = result.d_qkv.data(), job.delta = delta.data();
  EXPECT_EQ(AttentionForward(job, nullptr), cudaSuccess);
  EXPECT_EQ(AttentionBackward(job, nullptr), cudaSuccess);
  return result;
}

const std::vector<Form> kForms = {{{1, 5, 67}, 2, 2, 32, false, 0, 0},
                                  {{66, 3}, 2, 1, 32, false, 0, 6554},
                                  {{70}, 2, 2, 64, true, 0, 6554},
                                  {{130, 2}, 1, 1, 32, false, 20, 13107},
                                  {{100}, 1, 1, 32, true, 30, 0},
                                  {{67}, 1, 1, 128, false, 0, 6554}};

TEST(AttentionKernels, AreTheirDefinitionForEveryForm) {
  for (const Form& form : kForms) {
    Attention attention(form);
    attention.Evaluate();
    const Result own = RunKernels(attention, form.heads, form.d);
    SCOPED_TRACE(testing::Message() << "heads of " << form.d << ", longest " << form.lengths[0]);
    std::printf("d %lld: out %.2g, lse %.2g, d_qkv %.2g\n", static_cast<long long>(form.d),
                LargestError(own.out, attention.out), LargestError(own.lse, attention.lse),
                LargestError(own.d_qkv, attention.d_qkv));
    // Probabilities and gradients of scores are rounded to bfloat16 (0.4%) for their products, results once more.
    EXPECT_CLOSE(own.out, attention.out, 0.02);
    EXPECT_CLOSE(own.lse, attention.lse, 1e-5);
    EXPECT_CLOSE(own.d_qkv, attention.d_qkv, 0.04);
  }
}

TEST(AttentionKernels, GiveTheSameBytesInEveryOrder) {
  const Form form = kForms[1];
  const Attention attention(form);
  const Result first = RunKernels(attention, form.heads, form.d);
  host_cuda::InEveryOrder([&] {
    const Result again = RunKernels(attention, form.heads, form.d);
    EXPECT_TRUE(SameBytes(again.out, first.out));
    EXPECT_TRUE(SameBytes(again.lse, first.lse));
    EXPECT_TRUE(SameBytes(again.d_qkv, first.d_qkv));
  });
}

TEST(AttentionKernels, ASequenceDoesNotDependOnItsNeighbors) {
  const Form alone{{66}, 2, 1, 32, false, 0, 6554};
  const Attention one(alone), two(kForms[1]);  // the same first sequence, rows and key
  const Result of_one = RunKernels(one, 2, 32), of_two = RunKernels(two, 2, 32);
  EXPECT_TRUE(SameBytes(of_one.out, std::vector(of_two.out.begin(), of_two.out.begin() + of_one.out.size())));
  EXPECT_TRUE(SameBytes(of_one.d_qkv, std::vector(of_two.d_qkv.begin(), of_two.d_qkv.begin() + of_one.d_qkv.size())));
}

TEST(AttentionKernels, OtherSizesOfHeadsAreRefused) {
  AttentionJob job;
  job.rows = 1, job.head_size = 48;
  EXPECT_EQ(AttentionForward(job, nullptr), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace muster::cuda
