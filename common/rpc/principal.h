// The caller: a role and a name, proved by a certificate or a token.
#pragma once

#include <string>
#include <string_view>

namespace muster {

// Viewer, submitter and operator are roles of users, and each may do everything that the previous one may. The others are roles
// of processes.
enum class Role { kUnknown, kViewer, kSubmitter, kOperator, kWorker, kCoordinator, kData };
std::string_view RoleName(Role role);  // viewer, submitter, operator, worker, coordinator, data
// kUnknown for other names. "user", which older certificates show, is a submitter.
Role RoleFromName(std::string_view name);
// Viewer, submitter, operator.
bool IsPerson(Role role);

enum class Proof { kNone, kCertificate, kToken, kInsecure };
std::string_view ProofName(Proof proof);  // none, certificate, token, insecure

// The caller of an RPC, which every handler gets.
struct Principal {
  Role role = Role::kUnknown;
  std::string name;
  Proof proof = Proof::kNone;
};

// Whether the principal may act for this worker: its name is the worker's, or it is `PREFIX-*` and the worker's name
// begins with `PREFIX-`. On an insecure server everyone may act for everyone.
bool ActsFor(const Principal& principal, std::string_view worker);

}  // namespace muster
