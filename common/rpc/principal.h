// Who calls: a role and a name, proved by a certificate or a token.
#pragma once

#include <string>
#include <string_view>

namespace muster {

// Viewer, submitter and operator are people's, each may what the one before may; the others are processes'.
enum class Role { kUnknown, kViewer, kSubmitter, kOperator, kWorker, kCoordinator, kData };
std::string_view RoleName(Role role);  // viewer, submitter, operator, worker, coordinator, data
// kUnknown for other names. "user", which older certificates show, is a submitter.
Role RoleFromName(std::string_view name);
// Viewer, submitter, operator.
bool IsPerson(Role role);

enum class Proof { kNone, kCertificate, kToken, kInsecure };
std::string_view ProofName(Proof proof);  // none, certificate, token, insecure

// Every handler has one.
struct Principal {
  Role role = Role::kUnknown;
  std::string name;
  Proof proof = Proof::kNone;
};

// Whether the principal may act for this worker: its name is the worker's, or `PREFIX-*` and the worker's name begins
// with `PREFIX-` and continues; or everyone is everything here (an insecure server).
bool ActsFor(const Principal& principal, std::string_view worker);

}  // namespace muster
