#include "common/rpc/principal.h"

namespace muster {

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kUnknown: return "unknown";
    case Role::kViewer: return "viewer";
    case Role::kSubmitter: return "submitter";
    case Role::kOperator: return "operator";
    case Role::kWorker: return "worker";
    case Role::kCoordinator: return "coordinator";
    case Role::kData: return "data";
  }
  return "unknown";
}

Role RoleFromName(std::string_view name) {
  for (const Role role :
       {Role::kViewer, Role::kSubmitter, Role::kOperator, Role::kWorker, Role::kCoordinator, Role::kData}) {
    if (RoleName(role) == name) return role;
  }
  return name == "user" ? Role::kSubmitter : Role::kUnknown;
}

bool IsPerson(Role role) { return role == Role::kViewer || role == Role::kSubmitter || role == Role::kOperator; }

std::string_view ProofName(Proof proof) {
  switch (proof) {
    case Proof::kNone: return "none";
    case Proof::kCertificate: return "certificate";
    case Proof::kToken: return "token";
    case Proof::kInsecure: return "insecure";
  }
  return "none";
}

bool ActsFor(const Principal& principal, std::string_view worker) {
  if (principal.proof == Proof::kInsecure) return true;
  if (principal.role != Role::kWorker || worker.empty()) return false;
  const std::string_view name = principal.name;
  if (name.size() < 3 || !name.ends_with("-*")) return name == worker;
  const std::string_view prefix = name.substr(0, name.size() - 1);
  return worker.starts_with(prefix) && worker.size() > prefix.size();
}

}  // namespace muster
