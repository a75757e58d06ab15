#include "common/rpc/access/access_table.h"

#include <algorithm>

namespace muster {
namespace {

using Effect = AccessRule::Effect;

constexpr RoleSet kReaders = {Role::kViewer, Role::kSubmitter, Role::kOperator};
constexpr RoleSet kSubmitters = {Role::kSubmitter, Role::kOperator};
constexpr RoleSet kOperators = {Role::kOperator};
constexpr RoleSet kWorkers = {Role::kWorker};
constexpr RoleSet kCoordinators = {Role::kCoordinator};

constexpr bool kStreams = true, kOnce = false;
constexpr size_t kSmall = 64 << 10;
constexpr size_t kDescription = 1 << 20;  // a job, a manifest, a thousand digests
constexpr size_t kSweep = 60 << 20;             // what all known jobs need
constexpr size_t kChunkRequest = (1 << 20) + (64 << 10);

constexpr AccessRule kRules[] = {
    {"JobService/Submit", kSubmitters, Effect::kChanges, kOnce, kDescription},
    {"JobService/Get", kReaders, Effect::kReads, kOnce, kSmall},
    {"JobService/List", kReaders, Effect::kReads, kOnce, kSmall},
    {"JobService/Watch", kReaders, Effect::kReads, kStreams, kSmall},
    {"JobService/Logs", kReaders, Effect::kReads, kStreams, kSmall},
    {"JobService/StreamMetrics", kReaders, Effect::kReads, kStreams, kSmall},
    // A submitter may do this to own jobs, an operator to all.
    {"JobService/Delete", kSubmitters, Effect::kChanges, kOnce, kSmall},
    {"JobService/Cancel", kSubmitters, Effect::kChanges, kOnce, kSmall},
    {"JobService/Pause", kSubmitters, Effect::kChanges, kOnce, kSmall},
    {"JobService/Resume", kSubmitters, Effect::kChanges, kOnce, kSmall},

    {"ClusterService/GetCluster", kReaders, Effect::kReads, kOnce, kSmall},
    {"ClusterService/ListWorkers", kReaders, Effect::kReads, kOnce, kSmall},
    {"ClusterService/ListQueues", kReaders, Effect::kReads, kOnce, kSmall},
    {"ClusterService/Drain", kOperators, Effect::kChanges, kOnce, kSmall},
    {"ClusterService/CollectGarbage", kOperators, Effect::kChanges, kOnce, kSmall},

    // A worker may open only its own session, and meet only ranks of attempts that it has a rank of.
    {"WorkerService/Session", kWorkers, Effect::kWorks, kStreams, kChunkRequest},
    {"WorkerService/Rendezvous", kWorkers, Effect::kWorks, kOnce, kChunkRequest},

    {"DataService/Import", kSubmitters, Effect::kChanges, kStreams, kChunkRequest},
    {"DataService/List", kReaders, Effect::kReads, kOnce, kSmall},
    {"DataService/Get", kReaders, Effect::kReads, kOnce, kSmall},
    // Importing over an existing name and deleting: owners may do it, and operators.
    {"DataService/Delete", kSubmitters, Effect::kChanges, kOnce, kSmall},
    {"DataService/Resolve", kSubmitters | kCoordinators, Effect::kReads, kOnce, kDescription},
    {"DataService/Preview", kCoordinators, Effect::kReads, kOnce, kDescription},
    {"DataService/Show", kReaders, Effect::kReads, kOnce, kSmall},
    {"DataService/Export", kReaders, Effect::kReads, kStreams, kSmall},
    {"DataService/Sweep", kCoordinators, Effect::kChanges, kOnce, kSweep},
    // With a ticket of the attempt (common/rpc/access/ticket.h).
    {"DataService/Stream", kWorkers, Effect::kWorks, kStreams, kDescription},
    {"DataService/StreamEvaluation", kWorkers, Effect::kWorks, kStreams, kDescription},

    {"ModelService/Push", kSubmitters, Effect::kChanges, kOnce, kDescription},
    {"ModelService/Pull", kReaders, Effect::kReads, kOnce, kSmall},
    {"ModelService/List", kReaders | kCoordinators, Effect::kReads, kOnce, kSmall},
    {"ModelService/Delete", kSubmitters, Effect::kChanges, kOnce, kSmall},

    // A worker with a ticket stores what its rank made, and reads what its attempt needs.
    {"BlobService/Put", kSubmitters | kWorkers, Effect::kChanges, kStreams, kChunkRequest},
    {"BlobService/Get", kReaders | kWorkers | kCoordinators, Effect::kReads, kStreams, kSmall},
    {"BlobService/Stat", kReaders | kWorkers, Effect::kReads, kOnce, kDescription},
    {"BlobService/Delete", kOperators | kCoordinators, Effect::kChanges, kOnce, kDescription},

    // Changes nothing, but reads everything that a server has, so the audit log records it.
    {"BackupService/Copy", kOperators, Effect::kChanges, kStreams, kChunkRequest},
};

}  // namespace

std::span<const AccessRule> AccessRules() { return kRules; }

const AccessRule* FindRule(std::string_view method) {
  const auto found = std::ranges::find(kRules, method, &AccessRule::method);
  return found == std::end(kRules) ? nullptr : &*found;
}

}  // namespace muster
