#include "client/explain/field_docs.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "muster/v1/job.pb.h"

namespace muster {
namespace {

using google::protobuf::FieldDescriptor;
using testing::HasSubstr;
using testing::Not;

TEST(FieldDocs, AreReadFromTheTablesOfKeys) {
  const auto docs = ParseFieldDocs(
      "| key | meaning |\n|---|---|\n\n## Top level\n\n| key | type | default | meaning |\n|---|---|---|---|\n"
      "| `name` | name | required | [any](x.md) `name` |\n\n## model\n\n| figure | is |\n|---|---|\n| x | y |\n\n"
      "| key | type | meaning |\n|---|---|---|\n| `a.b`, `c` | `x\\|y` | m |\n");
  ASSERT_EQ(docs.size(), 3);
  EXPECT_EQ(docs[0].field, "name");
  EXPECT_EQ(docs[0].default_value, "required");
  EXPECT_EQ(docs[0].meaning, "any name");
  EXPECT_EQ(docs[1].field, "model.a.b");
  EXPECT_EQ(docs[1].type, "x|y");
  EXPECT_EQ(docs[1].default_value, "");
  EXPECT_EQ(docs[2].field, "model.c");
}

// Every key that a job file may have, with the keys that it is below: "model.max_length.query". Messages of the first
// level are keys of the page's top level, too.
void AppendKeys(const google::protobuf::Descriptor& message, const std::string& path, std::set<std::string>& keys) {
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    const std::string name = absl::StrCat(path, field.name());
    const bool is_message = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (!is_message || path.empty()) keys.insert(name);
    if (is_message) AppendKeys(*field.message_type(), absl::StrCat(name, "."), keys);
  }
}

TEST(FieldDocs, DescribeEveryKeyOfAJobAndNoOther) {
  std::set<std::string> keys, described;
  AppendKeys(*muster::v1::JobSpec::descriptor(), "", keys);
  for (const FieldDoc& doc : FieldDocs()) {
    EXPECT_TRUE(described.insert(doc.field).second) << doc.field << " is described twice";
    EXPECT_FALSE(doc.type.empty()) << doc.field;
    EXPECT_THAT(absl::StrCat(doc.type, doc.default_value, doc.meaning), Not(HasSubstr("]("))) << doc.field;
  }
  EXPECT_EQ(described, keys) << "docs/reference/job-spec.md";
}

}  // namespace
}  // namespace muster
