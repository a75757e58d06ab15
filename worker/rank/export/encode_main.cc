// muster-encode FOLDER [EXPORT_TO TOKENIZER_FOLDER | --gradients FILE] < lines of token ids
//
// Prints the embedding of each line (ids separated by spaces, with [CLS] and [SEP]), in the lines' order, as numbers
// that read back exactly. With EXPORT_TO, exports the model there first. With --gradients, writes the gradients of the
// parameters to FILE (.safetensors), of the sum of embedding[line][column] * cos(line + 0.37 * column), all lines
// packed into one batch without dropout. Used by tests/long/export_parity.py and encoder_parity.py.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <numeric>
#include <sstream>

#include "common/model/hf_config.h"
#include "common/status.h"
#include "worker/rank/export/export.h"
#include "worker/rank/model/encoder.h"

namespace muster {
namespace {

using Line = std::vector<int64_t>;

std::vector<Line> ReadLines(std::istream& input) {
  std::vector<Line> lines;
  for (std::string text; std::getline(input, text);) {
    std::istringstream words(text);
    lines.emplace_back(std::istream_iterator<int64_t>(words), std::istream_iterator<int64_t>());
  }
  return lines;
}

// The lines in ascending order of length; order[i] is the line that became sequence i.
PackedBatch Pack(const std::vector<Line>& lines, std::vector<size_t>& order) {
  order.resize(lines.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return lines[i].size(); });
  PackedBatch batch;
  Line tokens;
  for (const size_t i : order) {
    tokens.insert(tokens.end(), lines[i].begin(), lines[i].end());
    batch.lengths.push_back(static_cast<int64_t>(lines[i].size()));
    batch.slots.push_back(static_cast<uint32_t>(i));
  }
  batch.tokens = at::tensor(tokens, at::kLong);
  return batch;
}

// The scalar that is differentiated is a weighted sum of all embedding numbers. Returns the weights, in the batch's order.
at::Tensor Cotangent(const std::vector<size_t>& order, int64_t width) {
  std::vector<double> values;
  for (const size_t line : order) {
    for (int64_t c = 0; c < width; ++c) values.push_back(std::cos(static_cast<double>(line) + 0.37 * c));
  }
  return at::tensor(values, at::kDouble).view({static_cast<int64_t>(order.size()), width}).to(at::kFloat);
}

absl::Status WriteGradients(Encoder& encoder, const PackedBatch& batch, const std::vector<size_t>& order,
                            const std::string& file) {
  const at::AutoGradMode with_graph(true);
  const at::Tensor embeddings = encoder.Encode(batch, {});
  torch::autograd::backward({embeddings}, {Cotangent(order, encoder.config().EmbeddingSize())});
  std::vector<Parameter> gradients;
  for (const Parameter& parameter : encoder.parameters()) gradients.push_back({parameter.name, parameter.value.grad()});
  return WriteSafetensors(file, gradients);
}

absl::Status Run(const std::vector<std::string>& arguments) {
  const at::NoGradGuard no_grad;
  ASSIGN_OR_RETURN(const EncoderConfig config, ReadEncoderConfig(arguments[0]));
  ASSIGN_OR_RETURN(const std::unique_ptr<Encoder> encoder, Encoder::Load(arguments[0], config));
  const std::vector<Line> lines = ReadLines(std::cin);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty() || static_cast<int64_t>(lines[i].size()) > config.max_positions ||
        std::ranges::any_of(lines[i], [&](int64_t id) { return id < 0 || id >= config.vocabulary_size; })) {
      return absl::InvalidArgumentError(absl::StrCat("line ", i + 1, ": no token ids of this model"));
    }
  }
  if (lines.empty()) return absl::InvalidArgumentError("standard input has no lines of token ids");
  std::vector<size_t> order;
  const PackedBatch batch = Pack(lines, order);
  if (arguments.size() == 3 && arguments[1] == "--gradients") {
    RETURN_IF_ERROR(WriteGradients(*encoder, batch, order, arguments[2]));
  } else if (arguments.size() == 3) {
    ExportOptions options{.folder = arguments[1], .tokenizer = arguments[2], .probe = batch};
    options.query_prompt = config.prompts.query;
    options.passage_prompt = config.prompts.passage;
    options.card = {.title = "Parity check", .base_model = arguments[0]};
    RETURN_IF_ERROR(ExportFolder(*encoder, options));
  }
  const at::Tensor embeddings = encoder->Encode(batch, {});
  std::vector<size_t> place(order.size());
  for (size_t i = 0; i < order.size(); ++i) place[order[i]] = i;
  for (const size_t row : place) {
    const int64_t width = config.EmbeddingSize();
    const float* values = embeddings.const_data_ptr<float>() + row * width;
    for (int64_t c = 0; c < width; ++c) std::printf(c == 0 ? "%.9g" : " %.9g", values[c]);
    std::printf("\n");
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace muster

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() != 1 && arguments.size() != 3) {
    std::fprintf(stderr, "usage: muster-encode FOLDER [EXPORT_TO TOKENIZER_FOLDER | --gradients FILE] < lines of token ids\n");
    return 2;
  }
  const absl::Status status = muster::Run(arguments);
  if (!status.ok()) std::fprintf(stderr, "muster-encode: %s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
