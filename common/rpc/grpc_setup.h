// What a program with gRPC sets once.
#pragma once

namespace muster {

// Call once, in main, after InitLog:
// - gRPC's own messages (a failed handshake, for example) have the program's format. Its errors become warnings: most are
//   caused by the other side.
// - Mutexes do not search for cycles. Debian's build of Abseil does at every lock, gRPC's included; under 1,000 sessions the
//   coordinator takes 30% more submissions per second without it. Tests do not call this, so that they find an order of locks
//   that can deadlock.
void SetUpGrpc();

}  // namespace muster
