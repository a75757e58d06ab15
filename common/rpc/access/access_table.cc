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
constexpr size_t kChunkRequest = (1 << 20) + (64 << 10);

constexpr AccessRule kRules[] = {
    {"JobService/SubmitJob", kSubmitters, Effect::kChanges, kOnce, kDescription},
    {"JobService/GetJob", kReaders, Effect::kReads, kOnce, kSmall},
    {"JobService/ListJobs", kReaders, Effect::kReads, kOnce, kSmall},
    {"JobService/WatchJob", kReaders, Effect::kReads, kStreams, kSmall},
    {"JobService/StreamJobLogs", kReaders, Effect::kReads, kStreams, kSmall},
    {"JobService/StreamJobMetrics", kReaders, Effect::kReads, kStreams, kSmall},
    // A submitter may do this to their own jobs, an operator to all.
    {"JobService/DeleteJob", kSubmitters, Effect::kChanges, kOnce, kSmall},
    {"JobService/CancelJob", kSubmitters, Effect::kChanges, kOnce, kSmall},
    {"JobService/PauseJob", kSubmitters, Effect::kChanges, kOnce, kSmall},
    {"JobService/ResumeJob", kSubmitters, Effect::kChanges, kOnce, kSmall},

    {"ClusterService/GetCluster", kReaders, Effect::kReads, kOnce, kSmall},
    {"ClusterService/ListWorkers", kReaders, Effect::kReads, kOnce, kSmall},
    {"ClusterService/ListQueues", kReaders, Effect::kReads, kOnce, kSmall},
    {"ClusterService/DrainWorker", kOperators, Effect::kChanges, kOnce, kSmall},
    {"ClusterService/CollectGarbage", kOperators, Effect::kChanges, kOnce, kSmall},

    // Both servers have these. A submitter may cancel their own operations, an operator all.
    {"OperationService/ListOperations", kReaders, Effect::kReads, kOnce, kSmall},
    {"OperationService/GetOperation", kReaders, Effect::kReads, kOnce, kSmall},
    {"OperationService/CancelOperation", kSubmitters, Effect::kChanges, kOnce, kSmall},

    // A worker may open only its own session, and use the rendezvous only of attempts that have a rank on it.
    {"WorkerService/Session", kWorkers, Effect::kWorks, kStreams, kChunkRequest},
    {"WorkerService/Rendezvous", kWorkers, Effect::kWorks, kOnce, kChunkRequest},

    {"DataService/ImportDataset", kSubmitters, Effect::kChanges, kStreams, kChunkRequest},
    {"DataService/ListDatasets", kReaders, Effect::kReads, kOnce, kSmall},
    {"DataService/GetDataset", kReaders, Effect::kReads, kOnce, kSmall},
    // Importing over an existing name, and deleting: for owners and operators.
    {"DataService/DeleteDataset", kSubmitters, Effect::kChanges, kOnce, kSmall},
    {"DataService/ShowDataset", kReaders, Effect::kReads, kOnce, kSmall},
    {"DataService/ExportDataset", kReaders, Effect::kReads, kStreams, kSmall},

    {"DataPlaneService/Resolve", kSubmitters | kCoordinators, Effect::kReads, kOnce, kDescription},
    {"DataPlaneService/Preview", kCoordinators, Effect::kReads, kOnce, kDescription},
    {"DataPlaneService/Sweep", kCoordinators, Effect::kChanges, kStreams, kDescription},
    {"DataPlaneService/DeleteBlobs", kOperators | kCoordinators, Effect::kChanges, kOnce, kDescription},
    // With a ticket of the attempt (common/rpc/access/ticket.h).
    {"DataPlaneService/Stream", kWorkers, Effect::kWorks, kStreams, kDescription},
    {"DataPlaneService/StreamEvaluation", kWorkers, Effect::kWorks, kStreams, kDescription},
    {"DataPlaneService/PublishMined", kWorkers, Effect::kChanges, kStreams, kDescription},

    {"ModelService/PushModel", kSubmitters, Effect::kChanges, kOnce, kDescription},
    {"ModelService/PullModel", kReaders, Effect::kReads, kOnce, kSmall},
    {"ModelService/ListModels", kReaders | kCoordinators, Effect::kReads, kOnce, kSmall},
    {"ModelService/DeleteModel", kSubmitters, Effect::kChanges, kOnce, kSmall},

    // A worker with a ticket stores blobs that its ranks made, and reads what its attempt needs.
    {"BlobService/PutBlob", kSubmitters | kWorkers, Effect::kChanges, kStreams, kChunkRequest},
    {"BlobService/GetBlob", kReaders | kWorkers | kCoordinators, Effect::kReads, kStreams, kSmall},
    {"BlobService/StatBlobs", kReaders | kWorkers, Effect::kReads, kOnce, kDescription},

    // Changes nothing, but reads all of a server's data, so the audit log records it.
    {"BackupService/Copy", kOperators, Effect::kChanges, kStreams, kChunkRequest},
};

}  // namespace

std::span<const AccessRule> AccessRules() { return kRules; }

const AccessRule* FindRule(std::string_view method) {
  const auto found = std::ranges::find(kRules, method, &AccessRule::method);
  return found == std::end(kRules) ? nullptr : &*found;
}

}  // namespace muster
