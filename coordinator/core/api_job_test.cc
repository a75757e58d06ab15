#include "coordinator/core/api_job.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "coordinator/core/former_records.h"

namespace muster {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Gives every field a value, and every list one element. A message nested in a message of the same type stays empty.
void Fill(Message& message) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    if (field->is_map() || field->message_type() == message.GetDescriptor()) continue;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      Fill(field->is_repeated() ? *reflection.AddMessage(&message, field)
                                : *reflection.MutableMessage(&message, field));
    } else if (field->is_repeated()) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) reflection.AddString(&message, field, field->name());
    } else {
      switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_STRING: reflection.SetString(&message, field, field->name()); break;
        case FieldDescriptor::CPPTYPE_BOOL: reflection.SetBool(&message, field, true); break;
        case FieldDescriptor::CPPTYPE_UINT32: reflection.SetUInt32(&message, field, 3); break;
        case FieldDescriptor::CPPTYPE_INT32: reflection.SetInt32(&message, field, 3); break;
        case FieldDescriptor::CPPTYPE_UINT64: reflection.SetUInt64(&message, field, 3); break;
        case FieldDescriptor::CPPTYPE_INT64: reflection.SetInt64(&message, field, 3); break;
        case FieldDescriptor::CPPTYPE_FLOAT: reflection.SetFloat(&message, field, 0.5F); break;
        case FieldDescriptor::CPPTYPE_DOUBLE: reflection.SetDouble(&message, field, 0.5); break;
        case FieldDescriptor::CPPTYPE_ENUM: reflection.SetEnumValue(&message, field, 1); break;
        case FieldDescriptor::CPPTYPE_MESSAGE: break;
      }
    }
  }
}

// Every field of the API's job that the journal keeps has its value, and every field of the journal's job is shown.
TEST(ApiJob, HasEveryStoredField) {
  journal::v1::StoredJob stored;
  Fill(stored);
  const muster::v1::Job job = ApiJobFrom(stored);
  for (const auto& [from, to] : {std::pair<const Message*, const Message*>(&stored, &job),
                                 std::pair<const Message*, const Message*>(&stored.attempts(0), &job.attempts(0))}) {
    ASSERT_EQ(from->GetDescriptor()->field_count(), to->GetDescriptor()->field_count());
    for (int i = 0; i < from->GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor* field = to->GetDescriptor()->FindFieldByName(from->GetDescriptor()->field(i)->name());
      ASSERT_NE(field, nullptr) << from->GetDescriptor()->field(i)->full_name();
      EXPECT_TRUE(field->is_repeated() ? to->GetReflection()->FieldSize(*to, field) == 1
                                       : to->GetReflection()->HasField(*to, field))
          << field->full_name();
    }
  }
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(job.spec(), stored.spec()));
  EXPECT_EQ(job.attempts(0).end_code(), stored.attempts(0).end_code());
  EXPECT_EQ(job.reason(), "reason");
}

TEST(ApiJob, OfAnEmptyRecordIsEmpty) { EXPECT_EQ(ApiJobFrom({}).ByteSizeLong(), 0u); }

// Format 1: the default of an enumeration was 0.
TEST(FormerRecords, HaveTheDefaultsThatTheirZerosMeant) {
  journal::v1::JobRecord record;
  muster::v1::JobSpec& spec = *record.mutable_job()->mutable_spec();
  spec.mutable_optimizer()->set_schedule(muster::v1::SCHEDULE_COSINE);
  spec.mutable_resources()->set_device(muster::v1::DEVICE_CPU);
  UpgradeFormerRecord(record);
  EXPECT_EQ(spec.loss().objective(), muster::v1::OBJECTIVE_JOINTLH);
  EXPECT_EQ(spec.precision(), muster::v1::PRECISION_AUTO);
  EXPECT_EQ(spec.data().positives().choose(), muster::v1::CHOOSE_RANDOM);
  EXPECT_EQ(spec.data().negatives().choose(), muster::v1::CHOOSE_RANDOM);
  EXPECT_EQ(spec.optimizer().schedule(), muster::v1::SCHEDULE_COSINE);
  EXPECT_EQ(spec.resources().device(), muster::v1::DEVICE_CPU);
  const journal::v1::JobRecord once = record;
  UpgradeFormerRecord(record);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(once, record));
}

}  // namespace
}  // namespace muster
