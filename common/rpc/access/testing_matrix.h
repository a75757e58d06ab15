// For tests: checks a running server against the access table, for every RPC and every kind of credential.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/rpc/access/access_table.h"
#include "common/rpc/access/testing.h"
#include "common/rpc/access/tokens.h"
#include "common/rpc/certificate_folder.h"
#include "common/rpc/certificates.h"
#include "common/rpc/security.h"
#include "common/status.h"
#include "common/view.h"

namespace muster {

inline constexpr Role kEveryRole[] = {Role::kViewer, Role::kSubmitter,   Role::kOperator,
                                      Role::kWorker, Role::kCoordinator, Role::kData};

// Makes callers of every role for one server: it trusts `folder`/authority, and reads `folder`/tokens.yaml.
class AccessMatrix {
 public:
  AccessMatrix(std::filesystem::path folder, std::string address)
      : folder_(std::move(folder)), address_(std::move(address)) {}

  // One token of each role that has tokens, one that has expired, and one that Revoke removes.
  static void WriteTokens(const std::filesystem::path& folder, bool with_revoked = true) {
    std::vector<TokenEntry> tokens = {{"late", Role::kOperator, Sha256Hex("mst_expired"), absl::UnixEpoch()}};
    for (const Role role : {Role::kViewer, Role::kSubmitter, Role::kOperator, Role::kWorker}) {
      tokens.push_back({"token-user", role, Sha256Hex(absl::StrCat("mst_", ToAbsl(RoleName(role))))});
    }
    if (with_revoked) tokens.push_back({"gone", Role::kOperator, Sha256Hex("mst_revoked")});
    ASSERT_TRUE(WriteFileAtomically(folder / "tokens.yaml", FormatTokens(tokens)).ok());
  }

  std::shared_ptr<grpc::Channel> With(const SecurityOptions& security) {
    return MakeChannel(address_, security).value();
  }
  std::shared_ptr<grpc::Channel> WithCertificate(Role role, const std::string& name,
                                                 const std::string& authority = "authority",
                                                 absl::Duration lifetime = absl::Hours(1)) {
    return With({.certificates = Issue(role, name, authority, lifetime)});
  }
  std::shared_ptr<grpc::Channel> WithToken(const std::string& token) {
    return With({.certificates = AuthorityAlone(), .token = token});
  }
  std::shared_ptr<grpc::Channel> WithNothing() { return With({.certificates = AuthorityAlone()}); }

  // `services`: those of this server, "JobService/".
  void Check(const std::vector<std::string>& services) {
    const auto every = [&](const std::function<void(const AccessRule&)>& check) {
      size_t checked = 0;
      for (const std::string& method : EveryRpc()) {
        for (const std::string& service : services) {
          if (!method.starts_with(service)) continue;
          SCOPED_TRACE(method);
          ASSERT_NE(FindRule(method), nullptr);
          check(*FindRule(method));
          ++checked;
        }
      }
      EXPECT_GT(checked, services.size());
    };
    for (const Role role : kEveryRole) {
      SCOPED_TRACE(RoleName(role));
      const auto certificate = WithCertificate(role, "certificate-user");
      const auto token = WithToken(absl::StrCat("mst_", ToAbsl(RoleName(role))));
      const bool has_token = IsPerson(role) || role == Role::kWorker;
      every([&](const AccessRule& rule) {
        ExpectByRole(rule, role, Call(certificate, rule));
        if (has_token) ExpectByRole(rule, role, Call(token, rule));
        if (!has_token) {
          EXPECT_EQ(ReasonOf(Call(token, rule)), "TOKEN_UNKNOWN");
        }
      });
    }
    const auto nothing = WithNothing(), unknown = WithToken("mst_unknown"), expired = WithToken("mst_expired"),
               revoked = WithToken("mst_revoked");
    EXPECT_EQ(ReasonOf(CallByName(revoked, "nothing/at-all")), "");  // connected
    WriteTokens(folder_, false);
    const std::string probe = services.front() + "List";
    const absl::Duration end = RealClock().Monotonic() + absl::Seconds(10);
    while (ReasonOf(CallByName(revoked, probe)) != "TOKEN_UNKNOWN" && RealClock().Monotonic() < end) {
      absl::SleepFor(absl::Milliseconds(20));
    }
    const auto other = WithCertificate(Role::kOperator, "mallory", "other");
    const auto old = Expired();
    EXPECT_TRUE(CheckHealth(nothing).ok()) << "health is for all";
    every([&](const AccessRule& rule) {
      ExpectUnauthenticated(Call(nothing, rule), "NO_CREDENTIALS");
      ExpectUnauthenticated(Call(unknown, rule), "TOKEN_UNKNOWN");
      ExpectUnauthenticated(Call(expired, rule), "TOKEN_EXPIRED");
      ExpectUnauthenticated(Call(revoked, rule), "TOKEN_UNKNOWN");
      // These fail in the TLS handshake.
      EXPECT_EQ(Call(other, rule).code(), absl::StatusCode::kUnavailable);
      EXPECT_EQ(Call(old, rule).code(), absl::StatusCode::kUnavailable);
    });
  }

 private:
  std::filesystem::path AuthorityAlone() {
    const std::filesystem::path target = folder_ / "trust";
    EXPECT_TRUE(MakeFolders(target).ok());
    EXPECT_TRUE(WriteFileAtomically(target / "ca.pem", ReadFile(folder_ / "authority/ca.pem").value()).ok());
    return target;
  }
  std::filesystem::path Issue(Role role, const std::string& name, const std::string& authority,
                              absl::Duration lifetime) {
    const std::filesystem::path target = folder_ / absl::StrCat("as-", ToAbsl(RoleName(role)), "-", name);
    EXPECT_TRUE(MakeAuthority(folder_ / authority).ok());
    EXPECT_TRUE(IssueCertificate(folder_ / authority, {.role = role, .name = name, .lifetime = lifetime}, target).ok());
    // The client trusts the server, no matter which authority signed the client's own certificate.
    EXPECT_TRUE(WriteFileAtomically(target / "ca.pem", ReadFile(folder_ / "authority/ca.pem").value()).ok());
    return target;
  }
  std::shared_ptr<grpc::Channel> Expired() {
    const std::filesystem::path folder = Issue(Role::kOperator, "expired", "authority", absl::Seconds(1));
    const absl::Time end = FactsOf(ReadCertificateFolder(folder).value())->not_after;
    while (RealClock().Now() <= end + absl::Milliseconds(100)) absl::SleepFor(absl::Milliseconds(20));
    return With({.certificates = folder});
  }
  static absl::Status Call(const std::shared_ptr<grpc::Channel>& channel, const AccessRule& rule) {
    return CallByName(channel, std::string(rule.method));
  }
  static void ExpectByRole(const AccessRule& rule, Role role, const absl::Status& status) {
    EXPECT_FALSE(absl::IsUnauthenticated(status) || absl::IsUnavailable(status)) << status;
    EXPECT_EQ(ReasonOf(status) == "ROLE_DENIED", !rule.roles.contains(role)) << status;
    if (!rule.roles.contains(role)) {
      EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
    }
  }
  static void ExpectUnauthenticated(const absl::Status& status, const std::string& reason) {
    EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
    EXPECT_EQ(ReasonOf(status), reason);
  }

  const std::filesystem::path folder_;
  const std::string address_;
};

}  // namespace muster
