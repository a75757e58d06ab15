#include "client/job_file.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/output.h"
#include "client/words.h"
#include "common/deterministic_bytes.h"
#include "common/files.h"
#include "common/spec/job_spec.h"
#include "test_paths.h"

namespace muster {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using muster::v1::JobSpec;
using ::testing::ElementsAre;

// The complete job of the documentation.
constexpr char kComplete[] = R"(name: scifact-lsepair
model: {from: all-minilm-l6-v2, pooling: mean, normalize: true, max_length: {query: 64, passage: 256}}
data: {train: scifact, positives: {per_query: 4, choose: random}, negatives: {per_query: 4}}
loss: {objective: lsepair, temperature: 0.05}
batch: {queries: 32, micro_batch_tokens: 16384, keep_activations: 4GiB}
optimizer: {learning_rate: 2e-5, weight_decay: 0.01, warmup: 0.1, schedule: linear, max_grad_norm: 1.0}
duration: {epochs: 3}
evaluate: {dataset: scifact, split: dev, every_steps: 20, metric: ndcg@10, early_stop: {patience: 3}}
report: {dataset: scifact, split: test}
resources: {device: gpu, slots: {min: 4, max: 8}, queue: research, priority: 10}
checkpoint: {every_steps: 20, keep: 3}
seed: 17
)";

constexpr char kShort[] = R"(name: short
model: {from: minilm}
data:
  train: scifact
  positives:
    per_query: 2
loss:
  objective: lsepair
duration: {epochs: 1}
)";

JobSpec Parse(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const auto spec = ParseJobFile("job.yaml", text, overrides);
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.value_or(JobSpec());
}

std::string ErrorOf(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const auto spec = ParseJobFile("job.yaml", text, overrides);
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(spec.status().message());
}

std::string Replaced(const std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.substr(0, at) + to + text.substr(at + from.size());
}

TEST(JobFile, ReadsACompleteJob) {
  const JobSpec spec = Parse(kComplete);
  EXPECT_EQ(spec.name(), "scifact-lsepair");
  EXPECT_EQ(spec.model().from(), "all-minilm-l6-v2");
  EXPECT_EQ(spec.model().pooling(), muster::v1::POOLING_MEAN);
  EXPECT_TRUE(spec.model().normalize());
  EXPECT_EQ(spec.model().max_length().passage(), 256);
  EXPECT_EQ(spec.data().positives().choose(), muster::v1::CHOOSE_RANDOM);
  EXPECT_EQ(spec.data().negatives().per_query(), 4);
  EXPECT_EQ(spec.loss().objective(), muster::v1::OBJECTIVE_LSEPAIR);
  EXPECT_FLOAT_EQ(spec.loss().temperature(), 0.05f);
  EXPECT_EQ(spec.batch().keep_activations(), uint64_t{4} << 30);
  EXPECT_DOUBLE_EQ(spec.optimizer().learning_rate(), 2e-5);
  EXPECT_EQ(spec.duration().epochs(), 3);
  EXPECT_EQ(spec.evaluate().early_stop().patience(), 3);
  EXPECT_EQ(spec.report().split(), "test");
  EXPECT_EQ(spec.resources().device(), muster::v1::DEVICE_GPU);
  EXPECT_EQ(spec.resources().slots().max(), 8);
  EXPECT_EQ(spec.resources().priority(), 10);
  EXPECT_EQ(spec.seed(), 17);
}

TEST(JobFile, LeavesDefaultsToTheCoordinator) {
  const JobSpec spec = Parse(kShort);
  EXPECT_FALSE(spec.loss().has_temperature());
  EXPECT_FALSE(spec.has_resources());
  EXPECT_FALSE(spec.has_evaluate());
}

TEST(JobFile, JsonIsYaml) {
  const JobSpec spec = Parse(R"({"name": "x", "model": {"preset": "tiny", "tokenizer": "v"}, "data": {"train": "t",
    "positives": {"sources": ["human", "llm"]}}, "duration": {"steps": 40}, "optimizer": {"learning_rate": 0.001}})");
  EXPECT_THAT(spec.data().positives().sources(), ElementsAre("human", "llm"));
  EXPECT_EQ(spec.duration().steps(), 40);
}

TEST(JobFile, SizesHaveUnits) {
  const auto keep = [](const std::string& text) {
    return Parse(std::string(kShort) + "batch: {keep_activations: " + text + "}\n").batch().keep_activations();
  };
  EXPECT_EQ(keep("0"), 0);
  EXPECT_EQ(keep("4096"), 4096);
  EXPECT_EQ(keep("1 MiB"), 1 << 20);
  EXPECT_EQ(keep("3GB"), 3000000000);
  const auto wrong = [](const std::string& text) {
    return ErrorOf(std::string(kShort) + "batch: {keep_activations: " + text + "}\n");
  };
  EXPECT_EQ(wrong("4Gib"),
            "job.yaml:10: batch.keep_activations: \"4Gib\" is not a whole number or size, such as 4096 or 4GiB.");
  for (const char* text : {"-1", "1.5", "GiB", "20000000TiB", "99999999999999999999"})
    EXPECT_NE(wrong(text), "") << text;
}

TEST(JobFile, UnknownKeysAreNamedWithLineAndNearest) {
  EXPECT_EQ(ErrorOf(Replaced(kShort, "  objective", "  objectve")),
            "job.yaml:8: loss.objectve: unknown key. Allowed: objective, temperature, matryoshka_dimensions, "
            "matryoshka_weights, false_negatives, distill. Did you mean \"objective\"?");
  EXPECT_EQ(ErrorOf(Replaced(kShort, "per_query: 2", "zzz: 2")),
            "job.yaml:6: data.positives.zzz: unknown key. Allowed: per_query, choose, sources, min_grade, weigh.");
  EXPECT_EQ(ErrorOf(std::string(kShort) + "profle: true\n").substr(0, 33), "job.yaml:10: profle: unknown key.");
}

TEST(JobFile, GradientAccumulationIsRefusedWithWhatToUseInstead) {
  constexpr char kRemedy[] =
      "There is no gradient accumulation: its parts would not see each other's passages as negatives. Set "
      "batch.queries to the queries of a whole update.";
  EXPECT_THAT(ErrorOf(std::string(kShort) + "batch: {queries: 8, gradient_accumulation_steps: 4}\n"),
              ::testing::StartsWith(std::string("job.yaml:10: batch.gradient_accumulation_steps: unknown key. ") + kRemedy));
  EXPECT_THAT(ErrorOf(std::string(kShort) + "accumulate: 4\n"),
              ::testing::StartsWith(std::string("job.yaml:10: accumulate: unknown key. ") + kRemedy));
  EXPECT_THAT(ErrorOf(kShort, {"optimizer.grad_accum_steps=4"}),
              ::testing::StartsWith(
                  std::string("--set optimizer.grad_accum_steps=4: optimizer.grad_accum_steps: unknown key. ") + kRemedy));
}

TEST(JobFile, AProfileIsCheckedAndLeftToTheCoordinator) {
  EXPECT_EQ(ErrorOf(std::string(kShort) + "profile: swif\n"),
            "job.yaml:10: profile: unknown profile \"swif\". Allowed: sentence-transformers, tevatron, flagembedding, swift, "
            "arctic, multi-positive. Did you mean \"swift\"?");
  const JobSpec spec = Parse(std::string(kShort) + "profile: swift\noptimizer: {schedule: linear}\n");
  EXPECT_FALSE(spec.optimizer().has_learning_rate());
  EXPECT_TRUE(spec.optimizer().has_schedule()) << "a key that is set differs from one that is left out";
  EXPECT_FALSE(spec.model().has_pooling());
}

TEST(JobFile, ListsOfNumbersAreReadAndChecked) {
  const JobSpec spec = Parse(std::string(kShort) + "batch: {}\n", {"loss.matryoshka_dimensions=[384, 64]",
                                                                  "loss.matryoshka_weights=[1, 0.5]"});
  EXPECT_THAT(spec.loss().matryoshka_dimensions(), ElementsAre(384, 64));
  EXPECT_THAT(spec.loss().matryoshka_weights(), ElementsAre(1, 0.5));
  EXPECT_EQ(ErrorOf(kShort, {"loss.matryoshka_dimensions=[384, 0]"}),
            "--set loss.matryoshka_dimensions=[384, 0]: loss.matryoshka_dimensions: is 0. It must be from 1 to 65536 numbers.");
  EXPECT_EQ(ErrorOf(kShort, {"loss.matryoshka_dimensions=[a]"}),
            "--set loss.matryoshka_dimensions=[a]: loss.matryoshka_dimensions: \"a\" is not a number that this list can hold.");
}

TEST(JobFile, ListsOfStagesAreReadAndCheckedByTheirPlace) {
  const std::string staged =
      Replaced(kShort, "duration: {epochs: 1}",
               "stages:\n  - {sources: [llm], epochs: 3}\n  - {sources: [human], steps: 40, schedule: cosine}");
  const JobSpec spec = Parse(staged);
  ASSERT_EQ(spec.stages_size(), 2);
  EXPECT_THAT(spec.stages(0).sources(), ElementsAre("llm"));
  EXPECT_EQ(spec.stages(0).epochs(), 3);
  EXPECT_EQ(spec.stages(1).steps(), 40);
  EXPECT_EQ(spec.stages(1).schedule(), muster::v1::SCHEDULE_COSINE);
  EXPECT_EQ(
      ErrorOf(Replaced(staged, "epochs: 3", "epoch: 3")),
      "job.yaml:10: stages[0].epoch: unknown key. Allowed: sources, epochs, steps, learning_rate, warmup, schedule. Did you "
      "mean \"epochs\"?");
  EXPECT_EQ(ErrorOf(Replaced(staged, "steps: 40", "steps: 0")),
            "job.yaml:11: stages[1].steps: is 0. It must be from 1 to 1000000000.");
  EXPECT_EQ(ErrorOf(Replaced(staged, "epochs: 3", "warmup: 0")),
            "job.yaml:10: stages[0]: has no length. Give epochs or steps.");
  EXPECT_EQ(ErrorOf(Replaced(staged, "epochs: 3", "epochs: 3, steps: 2")),
            "job.yaml:10: stages[0].steps: excludes stages[0].epochs. Remove one of them.");
  EXPECT_EQ(ErrorOf(staged, {"duration.steps=5"}),
            "--set duration.steps=5: duration: cannot be combined with stages, which have their own lengths. Remove one of "
            "them.");
  EXPECT_EQ(Parse(staged, {"stages=[{epochs: 2}]"}).stages_size(), 1);
}

TEST(JobFile, UnknownValuesAreNamedWithLineAndNearest) {
  EXPECT_EQ(ErrorOf(Replaced(kShort, ": lsepair", ": lse_pair")),
            "job.yaml:8: loss.objective: unknown value \"lse_pair\". Allowed: default, jointlh, jointlh_sum, rand1lh, "
            "summarglh, lsepair, mean1lh. Did you mean \"lsepair\"?");
}

TEST(JobFile, WrongTypesAreNamed) {
  EXPECT_EQ(ErrorOf(Replaced(kShort, "per_query: 2", "per_query: two")),
            "job.yaml:6: data.positives.per_query: \"two\" is not a whole number from 0 to 4294967295.");
  EXPECT_EQ(ErrorOf(Replaced(kShort, "per_query: 2", "per_query: -2")).substr(0, 45),
            "job.yaml:6: data.positives.per_query: \"-2\" is");
  EXPECT_EQ(ErrorOf(Replaced(kShort, "per_query: 2", "weigh: yes")),
            "job.yaml:6: data.positives.weigh: \"yes\" is not a truth value: true or false.");
  EXPECT_EQ(ErrorOf(Replaced(kShort, "per_query: 2", "sources: human")),
            "job.yaml:6: data.positives.sources: must be a list, such as [a, b].");
  EXPECT_EQ(ErrorOf(Replaced(kShort, "model: {from: minilm}", "model: minilm")).substr(0, 34),
            "job.yaml:2: model: must have keys.");
  EXPECT_EQ(ErrorOf(Replaced(kShort, "from: minilm", "from: [minilm]")),
            "job.yaml:2: model.from: must be a single value.");
  EXPECT_EQ(ErrorOf(Replaced(kShort, "objective: lsepair", "temperature: .nan")),
            "job.yaml:8: loss.temperature: \".nan\" is not a number.");
}

TEST(JobFile, DuplicatesAndAlternativesAreRefused) {
  EXPECT_EQ(ErrorOf(Replaced(kShort, "epochs: 1", "epochs: 1, steps: 2")),
            "job.yaml:9: duration.steps: excludes duration.epochs. Remove one of them.");
  EXPECT_EQ(ErrorOf(std::string(kShort) + "name: again\n"), "job.yaml:10: name: is given twice. Remove one.");
}

TEST(JobFile, BrokenRulesPointAtTheirLine) {
  EXPECT_EQ(ErrorOf(Replaced(kShort, "objective: lsepair", "temperature: 0")),
            "job.yaml:8: loss.temperature: is 0. It must be from 0.0001 to 10000.");
  EXPECT_EQ(ErrorOf(Replaced(kShort, "train: scifact", "split: train")),
            "job.yaml:3: data.train: is missing. Name an imported dataset.");
  EXPECT_EQ(ErrorOf(Replaced(kShort, "name: short\n", "")).substr(0, 14), "job.yaml: name");
}

TEST(JobFile, BrokenYamlIsNamed) {
  EXPECT_EQ(ErrorOf("name: [x\n").substr(0, 9), "job.yaml:");
  EXPECT_EQ(ErrorOf(""), "job.yaml: must hold one job, found none.");
  EXPECT_EQ(ErrorOf("a: 1\n---\nb: 2\n"), "job.yaml: must hold one job, found several.");
  EXPECT_THAT(ErrorOf("!!binnamey, x"), ::testing::StartsWith("job.yaml"));  // yaml-cpp would find endless documents in it
  EXPECT_EQ(ErrorOf("- a\n").substr(0, 27), "job.yaml:1: must have keys.");
}

TEST(JobFile, OverridesTakePrecedence) {
  const JobSpec spec = Parse(kShort, {"loss.temperature=0.02", "duration.steps=7", "data.positives.sources=[llm]",
                                      "evaluate={dataset: scifact, every_steps: 5}", "loss.objective=null",
                                      "batch.keep_activations=1GiB", "model.prompts.query=query: "});
  EXPECT_FLOAT_EQ(spec.loss().temperature(), 0.02f);
  EXPECT_EQ(spec.duration().steps(), 7);
  EXPECT_THAT(spec.data().positives().sources(), ElementsAre("llm"));
  EXPECT_EQ(spec.evaluate().every_steps(), 5);
  EXPECT_EQ(spec.loss().objective(), muster::v1::OBJECTIVE_UNSPECIFIED);
  EXPECT_EQ(spec.model().prompts().query(), "query: ");
  EXPECT_EQ(spec.data().positives().per_query(), 2) << "what is not named stays";
}

TEST(JobFile, WrongOverridesNameThemselves) {
  EXPECT_EQ(ErrorOf(kShort, {"loss.objectiv=lsepair"}),
            "--set loss.objectiv=lsepair: loss.objectiv: unknown key. Allowed: objective, temperature, "
            "matryoshka_dimensions, matryoshka_weights, false_negatives, distill. Did you mean \"objective\"?");
  EXPECT_EQ(ErrorOf(kShort, {"loss.temperature=-1"}),
            "--set loss.temperature=-1: loss.temperature: is -1. It must be from 0.0001 to 10000.");
  EXPECT_EQ(ErrorOf(kShort, {"seed"}), "--set seed: must be FIELD=VALUE, such as loss.temperature=0.02.");
  EXPECT_EQ(ErrorOf(kShort, {"seed.x=1"}), "--set seed.x=1: seed has no fields.");
  EXPECT_EQ(ErrorOf(kShort, {"data.positives.sources=[a"}).substr(0, 51),
            "--set data.positives.sources=[a: is not valid YAML:");
}

TEST(JobFile, AMissingFileIsAWrongArgument) {
  const auto spec = ReadJobFile("/nowhere/job.yaml");
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(spec.status().message().find("/nowhere/job.yaml"), std::string::npos);
}

// Every field below `message`, by its path; `visit` may change it in place.
void ForEachField(Message& message, const std::function<void(Message&, const FieldDescriptor&)>& visit) {
  const auto* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor& field = *type->field(i);
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const auto* reflection = message.GetReflection();
      Message* inner = field.is_repeated() ? reflection->AddMessage(&message, &field) : reflection->MutableMessage(&message, &field);
      visit(message, field);  // present and empty
      ForEachField(*inner, visit);
      message.GetReflection()->ClearField(&message, &field);
    } else {
      visit(message, field);
      message.GetReflection()->ClearField(&message, &field);
    }
  }
}

// Values that a field's type allows and that a reader or writer might get wrong.
std::vector<std::function<void(Message&)>> ValuesOf(const FieldDescriptor& field) {
  const std::vector<std::string> texts = {
      "",         "plain", "null",     "NULL", "Null",   "~",      "true",       "12",     "1e5",    " query: ", "a: b", "# no",
      "- x",      "\"q\"", "it's",     "%",    "[a, b]", "{a: b}", "two\nlines", "\ttab",  "😀 <é>", "&a",       "*a",   "!x",
      "trailing ", "?",     "a\\b",    "yes",  "0x10",   "@"};
  std::vector<std::function<void(Message&)>> values;
  const auto add = [&values, &field](auto all, auto set) {
    for (const auto value : all) {
      values.push_back([&field, value, set](Message& m) { (m.GetReflection()->*set)(&m, &field, value); });
    }
  };
  using Reflection = google::protobuf::Reflection;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      for (const std::string& text : texts) {
        values.push_back([&field, text](Message& m) {
          if (field.is_repeated()) m.GetReflection()->AddString(&m, &field, text);
          if (!field.is_repeated()) m.GetReflection()->SetString(&m, &field, text);
        });
      }
      break;
    case FieldDescriptor::CPPTYPE_BOOL: add(std::vector<int>{0, 1}, &Reflection::SetBool); break;
    case FieldDescriptor::CPPTYPE_UINT32:
      add(std::vector<uint32_t>{0, UINT32_MAX}, field.is_repeated() ? &Reflection::AddUInt32 : &Reflection::SetUInt32);
      break;
    case FieldDescriptor::CPPTYPE_INT32: add(std::vector<int32_t>{INT32_MIN, INT32_MAX}, &Reflection::SetInt32); break;
    case FieldDescriptor::CPPTYPE_UINT64: add(std::vector<uint64_t>{0, UINT64_MAX}, &Reflection::SetUInt64); break;
    case FieldDescriptor::CPPTYPE_FLOAT:
      add(std::vector<float>{0, 0.1f, 3.4e38f, 1e-8f}, field.is_repeated() ? &Reflection::AddFloat : &Reflection::SetFloat);
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE: add(std::vector<double>{0, 0.1, 1.7e308, 1.0 / 3}, &Reflection::SetDouble); break;
    case FieldDescriptor::CPPTYPE_ENUM:
      for (int i = 0; i < field.enum_type()->value_count(); ++i) {
        values.push_back([&field, i](Message& m) { m.GetReflection()->SetEnum(&m, &field, field.enum_type()->value(i)); });
      }
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE: values.push_back([](Message&) {}); break;
    case FieldDescriptor::CPPTYPE_INT64: ADD_FAILURE() << field.full_name() << ": no job file can hold it"; break;
  }
  return values;
}

TEST(ReadJobText, ReadsBackEveryFieldThatGetPrints) {
  JobSpec spec;
  int fields = 0;
  ForEachField(spec, [&](Message& message, const FieldDescriptor& field) {
    ++fields;
    for (const auto& set : ValuesOf(field)) {
      set(message);
      for (const OutputFormat format : {OutputFormat::kJson, OutputFormat::kYaml}) {
        const std::string text = Format(spec, format);
        const absl::StatusOr<JobSpec> read = ReadJobText("spec", text);
        ASSERT_TRUE(read.ok()) << field.full_name() << ": " << read.status() << "\n" << text;
        EXPECT_EQ(DeterministicBytes(*read), DeterministicBytes(spec)) << field.full_name() << "\n" << text << read->DebugString();
      }
      if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) message.GetReflection()->ClearField(&message, &field);
    }
  });
  EXPECT_GT(fields, 60);
}

TEST(ReadJobText, ReadsBothSpellingsOfEveryValue) {
  JobSpec spec;
  int values = 0;
  ForEachField(spec, [&](Message& message, const FieldDescriptor& field) {
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_ENUM) return;
    for (int i = 0; i < field.enum_type()->value_count(); ++i) {
      const auto* value = field.enum_type()->value(i);
      message.GetReflection()->SetEnum(&message, &field, value);
      const std::string text = JsonText(spec);
      const std::string quoted = absl::StrCat("\"", value->name(), "\"");
      ASSERT_NE(text.find(quoted), std::string::npos) << text;
      for (const std::string& spelling : {value->name(), WordOf(*value)}) {
        const auto read = ReadJobText("spec", absl::StrReplaceAll(text, {{quoted, spelling}}));
        ASSERT_TRUE(read.ok()) << read.status();
        EXPECT_EQ(DeterministicBytes(*read), DeterministicBytes(spec)) << spelling;
      }
      ++values;
    }
  });
  EXPECT_GT(values, 20);
}

TEST(ParseJobFile, TheReadmesExampleNeedsNothingThatAnyDatasetMayLack) {
  const std::string readme = *ReadFile(std::filesystem::path(MUSTER_SOURCE_DIR) / "README.md");
  const size_t begin = readme.find("    name: ");
  ASSERT_NE(begin, std::string::npos);
  std::string example;
  for (const absl::string_view line : absl::StrSplit(readme.substr(begin), '\n')) {
    if (!absl::StartsWith(line, "    ")) break;
    absl::StrAppend(&example, line.substr(4), "\n");
  }
  const auto spec = ParseJobFile("README.md", example);
  ASSERT_TRUE(spec.ok()) << spec.status() << example;
  EXPECT_FALSE(spec->has_report()) << "FlagEmbedding data has no test split";
  EXPECT_FALSE(spec->has_evaluate());
  EXPECT_EQ(spec->data().split(), "");
}

}  // namespace
}  // namespace muster
