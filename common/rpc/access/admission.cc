#include "common/rpc/access/admission.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/rpc/metadata.h"
#include "common/rpc/security.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {
namespace {

constexpr size_t kMaxRequestId = 64;

// The client's request id if it is safe to log, otherwise a new one.
std::string RequestIdFrom(const grpc::ServerContextBase& context) {
  const std::string sent = MetadataOf(context, kRequestIdMetadata);
  const bool plain = !sent.empty() && sent.size() <= kMaxRequestId && std::ranges::all_of(sent, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
  if (plain) return sent;
  std::array<unsigned char, 8> bytes{};
  RAND_bytes(bytes.data(), bytes.size());
  return absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string RolesText(const RoleSet& roles) {
  std::vector<std::string> names;
  for (const Role role :
       {Role::kViewer, Role::kSubmitter, Role::kOperator, Role::kWorker, Role::kCoordinator, Role::kData}) {
    if (roles.contains(role)) names.emplace_back(RoleName(role));
  }
  return absl::StrJoin(names, " or ");
}

absl::Status Denied(const AccessRule& rule, const Principal& principal) {
  return WithReason(absl::PermissionDeniedError(absl::StrCat(
                        "this call is for ", RolesText(rule.roles), "; the ", ToAbsl(ProofName(principal.proof)),
                        " shows ", ToAbsl(RoleName(principal.role)), " \"", principal.name, "\"")),
                    "ROLE_DENIED");
}

absl::Status TooLarge(const AccessRule& rule, size_t bytes) {
  return WithReason(
      absl::ResourceExhaustedError(absl::StrCat("the request has ", bytes, " bytes; ", ToAbsl(rule.method),
                                                " takes at most ", rule.max_request_bytes)),
      "REQUEST_TOO_LARGE");
}

// Null if the status is not a refusal.
const char* RefusalOf(const absl::Status& status) {
  if (absl::IsUnauthenticated(status)) return "unauthenticated";
  if (absl::IsPermissionDenied(status)) return "denied";
  const std::string reason = ReasonOf(status);
  if (reason == "RATE_LIMITED") return "rate_limited";
  return reason == "REQUEST_TOO_LARGE" ? "too_large" : nullptr;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Admission>> Admission::Create(const Options& options) {
  std::unique_ptr<Admission> admission(new Admission(options));
  if (!options.tokens.empty()) {
    ASSIGN_OR_RETURN(admission->tokens_, TokenFile::Open(options.tokens, options.clock->Now()));
  }
  if (!options.audit.empty()) {
    ASSIGN_OR_RETURN(admission->audit_, AuditLog::Open(options.audit, options.audit_room));
  }
  return admission;
}

absl::StatusOr<Principal> Admission::Authenticate(const grpc::ServerContextBase& context, absl::Time now) {
  Principal principal = PrincipalOf(context);
  if (principal.proof == Proof::kInsecure) return principal;
  const std::string authorization = MetadataOf(context, kTokenMetadata);
  // If a token is presented, it decides, whatever certificate the connection has.
  if (absl::StartsWith(authorization, ToAbsl(kBearer))) {
    if (tokens_ == nullptr) {
      return WithReason(absl::UnauthenticatedError("this server accepts no tokens (--tokens FILE). Use a certificate."),
                        "TOKEN_UNKNOWN");
    }
    return tokens_->Authenticate(ToStd(absl::StripPrefix(authorization, ToAbsl(kBearer))), now);
  }
  if (principal.proof == Proof::kNone) {
    return WithReason(absl::UnauthenticatedError("the caller is not authenticated. Give a certificate (--certs DIR) "
                                                 "or a token (--token-file FILE)."),
                      "NO_CREDENTIALS");
  }
  return principal;
}

absl::Status Admission::Begin(grpc::ServerContextBase& context, std::string_view method,
                              const google::protobuf::Message* request, AdmittedCall& call) {
  call.method = method;
  call.time = options_.clock->Now();
  call.start = options_.clock->Monotonic();
  call.request_id = RequestIdFrom(context);
  RETURN_IF_ERROR(CheckPeerVersion(context));
  ASSIGN_OR_RETURN(call.principal, Authenticate(context, call.time));
  call.rule = FindRule(method);
  if (call.rule == nullptr) return absl::PermissionDeniedError(absl::StrCat(call.method, ": nobody may call this"));
  const bool everything = call.principal.proof == Proof::kInsecure;
  if (!everything && !call.rule->roles.contains(call.principal.role)) return Denied(*call.rule, call.principal);
  if (request != nullptr && request->ByteSizeLong() > call.rule->max_request_bytes) {
    return TooLarge(*call.rule, request->ByteSizeLong());
  }
  if (IsPerson(call.principal.role)) {
    RETURN_IF_ERROR(limiter_.Admit(call.principal.name, call.rule->streams, call.start));
  }
  call.admitted = true;
  return absl::OkStatus();
}

absl::Status Admission::StillAdmitted(const grpc::ServerContextBase& context, const AdmittedCall& call) {
  if (call.principal.proof != Proof::kToken) return absl::OkStatus();  // a certificate cannot change during a connection
  ASSIGN_OR_RETURN(const Principal principal, Authenticate(context, options_.clock->Now()));
  return call.rule->roles.contains(principal.role) ? absl::OkStatus() : Denied(*call.rule, principal);
}

grpc::Status Admission::End(grpc::ServerContextBase& context, AdmittedCall& call, absl::Status status) {
  if (call.admitted && call.rule->streams && IsPerson(call.principal.role)) limiter_.EndStream(call.principal.name);
  const char* const refusal = RefusalOf(status);
  if (options_.observer != nullptr) {
    options_.observer->Ended(call.method, status.code(), options_.clock->Monotonic() - call.start);
    if (refusal != nullptr) options_.observer->Rejected(refusal);
  }
  const bool changes = call.rule != nullptr && call.rule->effect == AccessRule::Effect::kChanges;
  if (audit_ != nullptr && (changes || refusal != nullptr)) {
    audit_->Write({call.time, call.principal, context.peer(), call.method, call.subject, call.request_id,
                   absl::StatusCodeToString(status.code()), std::string(status.message()), refusal != nullptr});
  }
  context.AddTrailingMetadata(kRequestIdMetadata, call.request_id);
  return ToGrpc(WithRequestId(std::move(status), call.request_id));
}

}  // namespace muster
