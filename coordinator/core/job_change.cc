#include "coordinator/core/job_change.h"

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "coordinator/core/message_change.h"

namespace muster {
namespace {

using journal::v1::FieldChange;
using journal::v1::Grant;
using journal::v1::MessageChange;
using journal::v1::RunningAttempt;
using journal::v1::StoredJob;

// Whether the only fields that the change sets or clears are among these. It may change anything inside these fields.
template <typename Type>
bool ReplacesOnly(const MessageChange& change, std::initializer_list<int> numbers) {
  const auto listed = [&](int number) { return std::find(numbers.begin(), numbers.end(), number) != numbers.end(); };
  if (!std::all_of(change.cleared().begin(), change.cleared().end(), listed)) return false;
  if (change.set().empty()) return true;
  Type set;
  if (!set.ParseFromString(change.set()) || !set.GetReflection()->GetUnknownFields(set).empty()) return false;
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  set.GetReflection()->ListFields(set, &fields);
  return std::all_of(fields.begin(), fields.end(), [&](const auto* field) { return listed(field->number()); });
}

bool KeepsAllElements(const FieldChange& list) { return list.dropped_first() == 0 && list.dropped_last() == 0; }

bool KeepsDerivedOfJob(const MessageChange& change) {
  if (!ReplacesOnly<StoredJob>(change, {StoredJob::kReasonFieldNumber, StoredJob::kReasonCodeFieldNumber,
                                        StoredJob::kProgressFieldNumber, StoredJob::kEvaluationsFieldNumber,
                                        StoredJob::kRevisionFieldNumber})) {
    return false;
  }
  return std::all_of(change.fields().begin(), change.fields().end(), [](const FieldChange& field) {
    return field.number() == StoredJob::kProgressFieldNumber || field.number() == StoredJob::kEvaluationsFieldNumber;
  });
}

bool KeepsWorkers(const FieldChange& grants) {
  return std::all_of(grants.elements().begin(), grants.elements().end(), [](const journal::v1::ElementChange& grant) {
    return ReplacesOnly<Grant>(grant.change(), {Grant::kPreparedFieldNumber, Grant::kInstanceFieldNumber}) &&
           grant.change().fields().empty();
  });
}

bool KeepsDerivedOfRunning(const MessageChange& change) {
  if (!ReplacesOnly<RunningAttempt>(change, {RunningAttempt::kStopFieldNumber})) return false;
  return std::all_of(change.fields().begin(), change.fields().end(), [](const FieldChange& field) {
    if (field.number() == RunningAttempt::kRanksFieldNumber) return KeepsAllElements(field);
    if (field.number() == RunningAttempt::kGrantsFieldNumber) return KeepsAllElements(field) && KeepsWorkers(field);
    return field.number() == RunningAttempt::kStopFieldNumber;
  });
}

}  // namespace

Record SmallestRecord(Record record, const State& state) {
  if (!record.has_job()) return record;
  const JobRecord* known = FindJob(state, record.job().job().id());
  if (known == nullptr) return record;
  Record smaller;
  smaller.mutable_change()->set_id(record.job().job().id());
  *smaller.mutable_change()->mutable_change() = ChangeOf(*known, record.job());
  if (smaller.ByteSizeLong() < record.ByteSizeLong()) return smaller;
  return record;
}

bool KeepsDerived(const MessageChange& change) {
  if (!ReplacesOnly<JobRecord>(change, {})) return false;
  return std::all_of(change.fields().begin(), change.fields().end(), [](const FieldChange& field) {
    if (field.number() == JobRecord::kJobFieldNumber) return KeepsDerivedOfJob(field.message());
    if (field.number() == JobRecord::kRunningFieldNumber) return KeepsDerivedOfRunning(field.message());
    return false;
  });
}

}  // namespace muster
