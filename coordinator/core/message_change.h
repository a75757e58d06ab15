// Computes the difference between two messages as a message, and applies it. The journal writes these for jobs.
//
//   ApplyChange(ChangeOf(before, after), before) turns `before` into `after`.
//
// The size of a change does not depend on the size of a list if one element changes, or elements are appended or removed at
// either end.
#pragma once

#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "muster/journal/v1/journal.pb.h"

namespace muster {

// Both have one type. Fields that this version does not know are taken as equal, and ApplyChange keeps them.
journal::v1::MessageChange ChangeOf(const google::protobuf::Message& before, const google::protobuf::Message& after);

// Whether the change is empty.
bool IsEmpty(const journal::v1::MessageChange& change);

// DATA_LOSS: the change does not fit this type of message. FAILED_PRECONDITION: a newer version wrote it. In both cases the
// message may be partly changed.
absl::Status ApplyChange(const journal::v1::MessageChange& change, google::protobuf::Message& message);

}  // namespace muster
