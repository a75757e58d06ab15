#include "coordinator/core/future_times.h"

#include <utility>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/timestamp.pb.h"

namespace muster {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Timestamp;

// The time of a job's next placement is meant to be in the future; WaitsToRetry checks it.
bool MayBeInTheFuture(const FieldDescriptor& field) {
  return field.full_name() == "muster.journal.v1.StartFailures.retry";
}

// Uses reflection, so that it covers time fields that are added later.
bool Clamp(absl::Time now, Message& message) {
  if (auto* time = dynamic_cast<Timestamp*>(&message); time != nullptr) {
    if (FromProto(*time) <= now) return false;
    *time = ToProto(now);
    return true;
  }
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  bool changed = false;
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_map() || MayBeInTheFuture(*field)) continue;
    if (!field->is_repeated()) {
      changed = Clamp(now, *reflection.MutableMessage(&message, field)) || changed;
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      changed = Clamp(now, *reflection.MutableRepeatedMessage(&message, field, i)) || changed;
    }
  }
  return changed;
}

}  // namespace

std::vector<Record> WithoutFutureTimes(const State& state, absl::Time now) {
  std::vector<Record> records;
  for (const auto& [id, job] : state.jobs) {
    JobRecord record = job;
    if (!Clamp(now, record)) continue;
    record.mutable_job()->set_revision(record.job().revision() + 1);
    records.push_back(RecordOf(std::move(record)));
  }
  return records;
}

}  // namespace muster
