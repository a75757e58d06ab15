#include "coordinator/core/former_records.h"

#include "common/spec/job_spec.h"

namespace muster {

void UpgradeFormerRecord(journal::v1::JobRecord& record) { FillEnumerations(*record.mutable_job()->mutable_spec()); }

}  // namespace muster
