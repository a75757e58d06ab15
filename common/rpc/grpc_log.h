// gRPC's own log lines, as lines of ours.
#pragma once

namespace muster {

// Once, in main, after InitLog: what gRPC has to say (a failed handshake, say) goes through spdlog, so that every line
// has the program's format. gRPC's errors are warnings here: most are another side's.
void RouteGrpcLogs();

}  // namespace muster
