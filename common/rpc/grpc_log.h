// Sends gRPC's own log lines through spdlog.
#pragma once

namespace muster {

// Call once, in main, after InitLog: gRPC's messages (a failed handshake, for example) then have the program's format.
// gRPC's errors become warnings: most are caused by the other side.
void RouteGrpcLogs();

}  // namespace muster
