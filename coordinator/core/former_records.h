// Converts records of older journal formats to the present one.
//
//   format 1   The default of an enumeration in a job's specification was 0, or the field was absent. Since format 2, 0
//   is *_UNSPECIFIED, and the default has a number above 0.
#pragma once

#include "muster/journal/v1/journal.pb.h"

namespace muster {

// Idempotent. Records of the present format do not change.
void UpgradeFormerRecord(journal::v1::JobRecord& record);

}  // namespace muster
