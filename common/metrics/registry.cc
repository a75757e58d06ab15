#include "common/metrics/registry.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/view.h"

namespace muster {
namespace {

[[noreturn]] void Refuse(std::string_view name, const std::string& why) {
  std::fprintf(stderr, "metric %s: %s. See common/metrics/catalogue.h.\n", std::string(name).c_str(), why.c_str());
  std::abort();
}

prometheus::Histogram::BucketBoundaries Buckets(const MetricFamily& declared) {
  return {declared.buckets.begin(), declared.buckets.end()};
}

}  // namespace

prometheus::Labels LabelsOf(const MetricFamily& declared, const std::vector<std::string>& values) {
  if (values.size() != declared.labels.size()) {
    Refuse(declared.name, absl::StrCat(values.size(), " label values, ", declared.labels.size(), " are declared"));
  }
  prometheus::Labels labels;
  for (size_t i = 0; i < values.size(); ++i) {
    const MetricLabel& label = declared.labels[i];
    if (!label.values.empty() && std::find(label.values.begin(), label.values.end(), values[i]) == label.values.end()) {
      Refuse(declared.name, absl::StrCat("\"", values[i], "\" is not a declared value of ", ToAbsl(label.name)));
    }
    labels[std::string(label.name)] = values[i];
  }
  return labels;
}

prometheus::Counter& CounterFamily::With(const std::vector<std::string>& values) const {
  return family_->Add(LabelsOf(*declared_, values));
}

prometheus::Histogram& HistogramFamily::With(const std::vector<std::string>& values) const {
  return family_->Add(LabelsOf(*declared_, values), Buckets(*declared_));
}

void GaugeRound::Set(const std::vector<std::string>& values, double number) {
  Series& series = series_[values];
  if (series.gauge == nullptr) series.gauge = &family_->Add(LabelsOf(*declared_, values));
  series.gauge->Set(number);
  series.set = true;
}

void GaugeRound::End() {
  for (auto it = series_.begin(); it != series_.end();) {
    if (!it->second.set) {
      family_->Remove(it->second.gauge);
      it = series_.erase(it);
      continue;
    }
    it->second.set = false;
    ++it;
  }
}

MetricRegistry::MetricRegistry(MetricProgram program, const std::string& version) : program_(program) {
  const MetricFamily& info = Declared("muster_build_info", MetricType::kGauge);
  prometheus::BuildGauge()
      .Name(std::string(info.name))
      .Help(std::string(info.help))
      .Register(*registry_)
      .Add(LabelsOf(info, {std::string(MetricProgramName(program)), version}))
      .Set(1);
}

const MetricFamily& MetricRegistry::Declared(std::string_view name, MetricType type) const {
  const MetricFamily* declared = FindMetric(name);
  if (declared == nullptr) Refuse(name, "it is not declared");
  if (declared->type != type) {
    Refuse(name, absl::StrCat("it is declared as a ", ToAbsl(MetricTypeName(declared->type))));
  }
  if ((declared->programs & static_cast<unsigned>(program_)) == 0) {
    Refuse(name, absl::StrCat("it is not declared for ", ToAbsl(MetricProgramName(program_))));
  }
  return *declared;
}

CounterFamily MetricRegistry::Counters(std::string_view name, bool preset) {
  const MetricFamily& declared = Declared(name, MetricType::kCounter);
  auto& family =
      prometheus::BuildCounter().Name(std::string(name)).Help(std::string(declared.help)).Register(*registry_);
  const CounterFamily counters(declared, family);
  if (preset && declared.labels.size() == 1) {
    for (const std::string_view value : declared.labels[0].values) counters.With({std::string(value)});
  }
  return counters;
}

HistogramFamily MetricRegistry::Histograms(std::string_view name) {
  const MetricFamily& declared = Declared(name, MetricType::kHistogram);
  return {declared,
          prometheus::BuildHistogram().Name(std::string(name)).Help(std::string(declared.help)).Register(*registry_)};
}

GaugeRound MetricRegistry::Gauges(std::string_view name) {
  const MetricFamily& declared = Declared(name, MetricType::kGauge);
  return {declared,
          prometheus::BuildGauge().Name(std::string(name)).Help(std::string(declared.help)).Register(*registry_)};
}

prometheus::Counter& MetricRegistry::AddCounter(std::string_view name) { return Counters(name).With({}); }
prometheus::Histogram& MetricRegistry::AddHistogram(std::string_view name) { return Histograms(name).With({}); }

prometheus::Gauge& MetricRegistry::AddGauge(std::string_view name) {
  const MetricFamily& declared = Declared(name, MetricType::kGauge);
  return prometheus::BuildGauge()
      .Name(std::string(name))
      .Help(std::string(declared.help))
      .Register(*registry_)
      .Add(LabelsOf(declared, {}));
}

}  // namespace muster
