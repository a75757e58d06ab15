// For tests: the gradient of one step in the simplest way, as a reference for the trainer. One process, float64, one
// sequence at a time, keeping every graph, with autograd through the dense score matrix and the formulas of arXiv 2602.12727.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "muster/v1/job.pb.h"
#include "worker/rank/model/encoder.h"
#include "worker/rank/train/testing/problem.h"

namespace muster {

// The result for the global batch, in the order of Encoder::parameters().
struct StepGradients {
  double loss = 0;
  std::vector<at::Tensor> gradients;
};

// An encoder in float64 on the CPU that holds the values of `encoder`'s parameters.
absl::StatusOr<std::unique_ptr<Encoder>> DoubleEncoder(const Encoder& encoder);

// `encoder` is of float64 on the CPU; its .grad() tensors are replaced. dropout.step is the step of the problem.
absl::StatusOr<StepGradients> ReferenceStep(Encoder& encoder, const Problem& problem, const muster::v1::LossSpec& loss,
                                            const Dropout& dropout);

// Attention key biases have exactly zero gradient in theory (a constant added to a row of scores), as has an adapter's A
// while its B is 0: computed values are rounding errors, so they are compared absolutely, and left out of comparisons of
// trained weights.
bool HasZeroGradient(const std::string& parameter_name);

// The largest norm(own - reference) / norm(reference) over the loss and all tensors except the key biases; `absolute`:
// the largest norm of a key bias's difference.
struct StepDifference {
  double relative = 0, absolute = 0;
  std::string worst;  // the tensor of `relative`
};
StepDifference DifferenceOf(const std::vector<Parameter>& parameters, const StepGradients& own,
                            const StepGradients& reference);

}  // namespace muster
