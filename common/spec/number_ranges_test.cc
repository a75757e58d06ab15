#include "common/spec/number_ranges.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/spec/job_spec.h"

namespace muster {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using muster::v1::JobSpec;
using testing::HasSubstr;
using testing::StartsWith;

bool IsNumber(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return true;
    default:
      return false;
  }
}

bool IsReal(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT || field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE;
}

void AddNumbers(const std::string& path, const Descriptor& type, std::map<std::string, const FieldDescriptor*>& found) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const std::string name = absl::StrCat(path, path.empty() ? "" : ".", field.name());
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) AddNumbers(name, *field.message_type(), found);
    if (IsNumber(field)) found[name] = &field;
  }
}

std::map<std::string, const FieldDescriptor*> AllNumbers() {
  std::map<std::string, const FieldDescriptor*> found;
  AddNumbers("", *JobSpec::descriptor(), found);
  return found;
}

// Whether the field's type holds the value.
bool Holds(const FieldDescriptor& field, double value) {
  if (IsReal(field)) return true;
  if (!std::isfinite(value) || value != std::floor(value)) return false;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return std::abs(value) < 2147483648.0;
    case FieldDescriptor::CPPTYPE_UINT32: return value >= 0 && value < 4294967296.0;
    default: return value >= 0 && value < 18446744073709551616.0;
  }
}

JobSpec With(const std::string& path, double value) {
  JobSpec spec;
  Message* message = &spec;
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    const FieldDescriptor& field = *message->GetDescriptor()->FindFieldByName(names[i]);
    if (field.is_repeated()) {  // a list: its second item
      message->GetReflection()->AddMessage(message, &field);
      message = message->GetReflection()->AddMessage(message, &field);
    } else {
      message = message->GetReflection()->MutableMessage(message, &field);
    }
  }
  const FieldDescriptor& field = *message->GetDescriptor()->FindFieldByName(names.back());
  const auto& reflection = *message->GetReflection();
  if (field.is_repeated()) {  // a list: its second number
    if (IsReal(field)) {
      reflection.AddFloat(message, &field, 1);
      reflection.AddFloat(message, &field, static_cast<float>(value));
    } else {
      reflection.AddUInt32(message, &field, 1);
      reflection.AddUInt32(message, &field, static_cast<uint32_t>(value));
    }
    return spec;
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: reflection.SetInt32(message, &field, static_cast<int32_t>(value)); break;
    case FieldDescriptor::CPPTYPE_UINT32: reflection.SetUInt32(message, &field, static_cast<uint32_t>(value)); break;
    case FieldDescriptor::CPPTYPE_UINT64: reflection.SetUInt64(message, &field, static_cast<uint64_t>(value)); break;
    case FieldDescriptor::CPPTYPE_FLOAT: reflection.SetFloat(message, &field, static_cast<float>(value)); break;
    case FieldDescriptor::CPPTYPE_DOUBLE: reflection.SetDouble(message, &field, value); break;
    default: ADD_FAILURE() << path << ": extend this test for its type";
  }
  return spec;
}

TEST(NumberRanges, EveryNumberOfASpecificationHasOne) {
  std::vector<std::string> fields, ranges;
  for (const auto& [name, field] : AllNumbers()) fields.push_back(name);
  for (const NumberRange& range : NumberRanges()) ranges.push_back(std::string(range.field));
  std::ranges::sort(ranges);
  EXPECT_EQ(ranges, fields) << "state the range of a new number in number_ranges.cc and docs/reference/job-spec.md";
}

TEST(NumberRanges, TheirEndsAreTakenAndWhatLiesBeyondIsRefusedByName) {
  const auto fields = AllNumbers();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();
  for (const NumberRange& range : NumberRanges()) {
    const std::string name(range.field);
    const FieldDescriptor& field = *fields.at(name);
    std::vector<double> good = {range.low, range.high}, bad = {kNan, kInfinity, -kInfinity};
    if (range.or_zero) good.push_back(0);
    if (std::abs(range.high) < std::numeric_limits<float>::max()) {
      const bool real = IsReal(field);
      bad.push_back(!real ? range.low - 1 : range.low > 0 ? range.low * 0.999 : range.low - 1e-3);
      bad.push_back(real ? range.high + range.high * 1e-3 : range.high + 1);
      bad.insert(bad.end(), {-1e30, 1e30});
      if (range.low > 0) bad.insert(bad.end(), {-range.low, 1e-40});  // a number that is denormal in single precision
      if (range.low > 0 && !range.or_zero) bad.push_back(0);
    }
    for (const double value : good) {
      if (!Holds(field, value)) continue;
      EXPECT_TRUE(CheckNumbers(With(name, value)).ok()) << name << " " << value << ": " << CheckNumbers(With(name, value));
    }
    for (const double value : bad) {
      if (!Holds(field, value)) continue;
      const absl::Status status = CheckNumbers(With(name, value));
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name << " " << value;
      EXPECT_THAT(std::string(status.message()),
                  StartsWith(absl::StrReplaceAll(name, {{"stages.", "stages[1]."}, {"sets.", "sets[1]."}}) + ": is "));
      EXPECT_THAT(std::string(status.message()), HasSubstr(AllowedText(range)));
    }
  }
}

TEST(NumberRanges, DefaultsAreWithinTheirRange) {
  JobSpec spec;
  spec.mutable_evaluate();
  spec.mutable_report();
  spec.mutable_model()->set_preset("tiny");
  FillDefaults(spec);
  EXPECT_TRUE(CheckNumbers(spec).ok()) << CheckNumbers(spec);
}

// 0.999995 is below 1, and rounds to a dropout of everything.
TEST(NumberRanges, ADropoutThatWouldKeepNothingIsRefused) {
  const absl::Status status = CheckNumbers(With("model.dropout", 0.999995));
  EXPECT_EQ(status.message(), "model.dropout: is 0.999995. It must be from 0 to 0.99.");
}

// Steps of an epoch times epochs do not overflow for the largest dataset.
TEST(NumberRanges, StepsOfAllEpochsFitIn64Bits) {
  const auto epochs = std::ranges::find(NumberRanges(), "duration.epochs", &NumberRange::field);
  EXPECT_LT(epochs->high * 4294967296.0, 9e18);
}

}  // namespace
}  // namespace muster
