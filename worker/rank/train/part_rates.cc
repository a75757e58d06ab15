#include "worker/rank/train/part_rates.h"

#include <cmath>

#include "common/model/parts.h"

namespace muster {
namespace {

bool HasOneRate(const muster::v1::OptimizerSpec& spec) { return !spec.has_learning_rates() && !spec.has_layer_decay(); }

}  // namespace

std::vector<size_t> RateGroupsOf(const muster::v1::OptimizerSpec& spec, std::span<const Parameter> parameters, int64_t layers) {
  std::vector<size_t> groups;
  for (const Parameter& parameter : parameters) {
    groups.push_back(HasOneRate(spec) ? 0 : static_cast<size_t>(DepthOfTensor(parameter.name, layers)));
  }
  return groups;
}

std::vector<double> MaximaOf(const muster::v1::OptimizerSpec& spec, int64_t layers) {
  if (HasOneRate(spec)) return {spec.learning_rate()};
  const muster::v1::LearningRates& rates = spec.learning_rates();
  const double decay = spec.has_layer_decay() ? spec.layer_decay() : 1;
  const double of_layers = rates.has_layers() ? rates.layers() : spec.learning_rate();
  std::vector<double> maxima = {rates.has_embeddings() ? rates.embeddings()
                                                       : spec.learning_rate() * std::pow(decay, static_cast<double>(layers))};
  for (int64_t layer = 0; layer < layers; ++layer) {
    maxima.push_back(of_layers * std::pow(decay, static_cast<double>(layers - 1 - layer)));
  }
  maxima.push_back(rates.has_head() ? rates.head() : spec.learning_rate());
  return maxima;
}

}  // namespace muster
