// The difference of two messages as a message, and back: what the journal writes of a job.
//
//   ApplyChange(ChangeOf(before, after), before) makes `after` of `before`.
//
// One list element that changes, elements that are appended, and elements that leave a list at either end have a size of
// their own, whatever the size of the list.
#pragma once

#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "muster/journal/v1/journal.pb.h"

namespace muster {

// Both are of one type. Fields that this version does not know are taken as equal, and ApplyChange keeps them.
journal::v1::MessageChange ChangeOf(const google::protobuf::Message& before, const google::protobuf::Message& after);

// Whether nothing changes.
bool IsEmpty(const journal::v1::MessageChange& change);

// DATA_LOSS: the change is not one of such a message. FAILED_PRECONDITION: it is one of a newer version. The message may
// be changed in part then.
absl::Status ApplyChange(const journal::v1::MessageChange& change, google::protobuf::Message& message);

}  // namespace muster
