#include "client/report/settings.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "absl/strings/str_split.h"
#include "client/job_file.h"
#include "common/spec/job_spec.h"

namespace muster {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using muster::v1::JobSpec;

const std::vector<std::string> kTexts = {
    "",          "scifact",    "null",  "~",  "true",     "1e3",   "-",      "- a", "a: b",      "# not a comment", "[x]",
    "'",         "\"",         "\\n",   "🐈", "größer",   "\x7f",  "\u0085", "`x`", "\u2028",    "two\nlines",      "tab\t",
    "\x1b[31m",  "$(touch x)", "{a: b}", " leading", "trailing ", "\u202Eesrever", "<script>alert(1)</script>",
    "\nEND_OF_JOB\nrm -rf /tmp/x\n"};

void Fill(Message& message);

void FillField(Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  const auto small = [] { return *rc::gen::inRange<uint32_t>(0, 2'000'000'000); };
  const auto number = [] { return *rc::gen::inRange(-100'000, 100'000) / 777.0; };
  const auto text = [] { return *rc::gen::elementOf(kTexts); };
  if (field.is_repeated()) {
    for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) reflection.AddString(&message, &field, text());
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32) reflection.AddUInt32(&message, &field, small());
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) {
        reflection.AddFloat(&message, &field, static_cast<float>(number()));
      }
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        Fill(*reflection.AddMessage(&message, &field));
        if (reflection.GetRepeatedMessage(message, &field, reflection.FieldSize(message, &field) - 1).ByteSizeLong() == 0) {
          reflection.RemoveLast(&message, &field);
        }
      }
    }
    return;
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: return reflection.SetString(&message, &field, text());
    case FieldDescriptor::CPPTYPE_BOOL: return reflection.SetBool(&message, &field, *rc::gen::arbitrary<bool>());
    case FieldDescriptor::CPPTYPE_INT32: return reflection.SetInt32(&message, &field, *rc::gen::arbitrary<int32_t>());
    case FieldDescriptor::CPPTYPE_UINT32: return reflection.SetUInt32(&message, &field, small());
    case FieldDescriptor::CPPTYPE_UINT64: return reflection.SetUInt64(&message, &field, *rc::gen::arbitrary<uint64_t>());
    case FieldDescriptor::CPPTYPE_FLOAT: return reflection.SetFloat(&message, &field, static_cast<float>(number()));
    case FieldDescriptor::CPPTYPE_DOUBLE: return reflection.SetDouble(&message, &field, number());
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto& type = *field.enum_type();
      return reflection.SetEnum(&message, &field, type.value(*rc::gen::inRange(0, type.value_count())));
    }
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      Fill(*reflection.MutableMessage(&message, &field));
      // A section without a field is not in a job file.
      if (reflection.GetMessage(message, &field).ByteSizeLong() == 0) reflection.ClearField(&message, &field);
      return;
    }
    case FieldDescriptor::CPPTYPE_INT64: RC_FAIL("a job has no such field");
  }
}

void Fill(Message& message) {
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    if (*rc::gen::inRange(0, 3) > 0) FillField(message, *message.GetDescriptor()->field(i));
  }
}

RC_GTEST_PROP(JobFileOf, ReadsBackAsTheSameSpecification, ()) {
  JobSpec spec;
  Fill(spec);
  if (spec.name().empty()) spec.set_name("x");  // a file without lines is not a job file
  const auto text = JobFileOf(spec);
  RC_LOG() << text;
  const auto read = ReadJobText("report", text);
  if (!read.ok()) RC_FAIL(std::string(read.status().message()));
  google::protobuf::util::MessageDifferencer differences;
  std::string found;
  differences.ReportDifferencesToString(&found);
  if (!differences.Compare(spec, *read)) RC_FAIL(found);
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    RC_ASSERT(line.empty() || line.find(':') != absl::string_view::npos);  // a text in the specification cannot add a line
    for (const char c : line) RC_ASSERT(static_cast<unsigned char>(c) >= 0x20);
  }
}

TEST(JobFileOf, IsAJobFileAsAPersonWritesIt) {
  JobSpec spec;
  spec.set_name("first");
  spec.mutable_model()->set_from("all-minilm-l6-v2");
  spec.mutable_model()->mutable_prompts()->set_query("query: ");
  spec.mutable_loss()->set_objective(muster::v1::OBJECTIVE_LSEPAIR);
  spec.mutable_loss()->set_temperature(0.05F);
  spec.mutable_loss()->add_matryoshka_dimensions(384);
  spec.mutable_loss()->add_matryoshka_dimensions(64);
  spec.mutable_duration()->set_epochs(3);
  EXPECT_EQ(JobFileOf(spec),
            "name: first\nmodel:\n  from: all-minilm-l6-v2\n  prompts:\n    query: \"query: \"\nloss:\n  objective: lsepair\n"
            "  temperature: 0.05\n  matryoshka_dimensions: [384, 64]\nduration:\n  epochs: 3\n");
  spec.mutable_model()->mutable_prompts()->set_query("a\u202Eb");
  EXPECT_THAT(JobFileOf(spec), HasSubstr("query: \"a\\u202Eb\"\n"));
}

TEST(JobFileOf, OfACompleteJobIsSubmittedAgainUnchanged) {
  JobSpec spec = *ParseJobFile("job", "name: x\nmodel: {from: m}\ndata: {train: t}\nduration: {steps: 3}\n");
  FillDefaults(spec);
  auto again = ParseJobFile("report", JobFileOf(spec));
  ASSERT_TRUE(again.ok()) << again.status();
  FillDefaults(*again);  // empty sections, which no job file has
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(spec, *again));
}

TEST(DifferingSettings, NamesWhatDiffersInTheOrderOfTheFields) {
  std::vector<JobSpec> specs(3);
  specs[0].set_name("a");
  specs[1].set_name("b");
  for (JobSpec& spec : specs) spec.mutable_model()->set_from("minilm");
  specs[0].mutable_loss()->set_temperature(0.05F);
  specs[1].mutable_loss()->set_temperature(0.02F);
  specs[2].set_seed(4);
  specs[1].mutable_batch()->set_queries(64);
  const auto found = DifferingSettings(specs);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].field, "loss.temperature");
  EXPECT_THAT(found[0].values, ElementsAre("0.05", "0.02", ""));
  EXPECT_EQ(found[1].field, "batch.queries");
  EXPECT_EQ(found[2].field, "seed");
  EXPECT_THAT(found[2].values, ElementsAre("", "", "4"));
  EXPECT_TRUE(DifferingSettings(std::vector<JobSpec>(2, specs[0])).empty());
}

}  // namespace
}  // namespace muster
