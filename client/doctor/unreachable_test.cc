#include "client/doctor/unreachable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/clock.h"

namespace muster {
namespace {

using testing::HasSubstr;

Endpoint Secure() { return {"muster.example:7070", {.certificates = "/certs"}}; }

TlsFacts Shown() {
  TlsFacts facts;
  const absl::Time now = RealClock().Now();
  facts.server = PeerCertificate{"coordinator", "coordinator", {"muster.example"}, now - absl::Hours(1), now + absl::Hours(1), ""};
  return facts;
}

TEST(DescribeUnreachable, NamesTheAuthorityThatDidNotSign) {
  TlsFacts facts = Shown();
  facts.server->distrust = "self-signed certificate in certificate chain";
  facts.handshake_error = "certificate verify failed";
  EXPECT_THAT(DescribeUnreachable(Secure(), facts, false),
              HasSubstr("muster.example:7070: the server's certificate is not signed by /certs/ca.pem"));
}

TEST(DescribeUnreachable, TellsTheCausesApart) {
  TlsFacts facts;
  facts.tcp_error = "Connection refused";
  EXPECT_THAT(DescribeUnreachable(Secure(), facts, false), HasSubstr("Connection refused. Is the cluster running"));
  Endpoint remembered = Secure();
  remembered.remembered_state = "/state";
  EXPECT_EQ(DescribeUnreachable(remembered, facts, false),
            "muster.example:7070: Connection refused. The cluster that muster local ran there has ended. Start it again: "
            "muster local --state /state; or name another with --address.");
  facts = Shown();
  facts.server->hosts = {"other.example"};
  EXPECT_THAT(DescribeUnreachable(Secure(), facts, false), HasSubstr("is for other.example, not for muster.example"));
  facts = Shown();
  facts.server->expires = RealClock().Now() - absl::Hours(1);
  facts.server->distrust = "certificate has expired";
  EXPECT_THAT(DescribeUnreachable(Secure(), facts, false), HasSubstr("expired on"));
  facts = Shown();
  facts.handshake_error = "tlsv1 alert unknown ca";
  EXPECT_THAT(DescribeUnreachable(Secure(), facts, false), HasSubstr("refuses the certificate in /certs"));
  facts = {};
  facts.handshake_error = "wrong version number";
  EXPECT_THAT(DescribeUnreachable(Secure(), facts, false), HasSubstr("does not use TLS"));
  const Endpoint insecure = {"localhost:7070", {.insecure = true}};
  EXPECT_THAT(DescribeUnreachable(insecure, {}, true), HasSubstr("the server uses TLS"));
}

TEST(DescribeUnreachable, SaysNothingWhereNothingIsWrong) { EXPECT_EQ(DescribeUnreachable(Secure(), Shown(), false), ""); }

}  // namespace
}  // namespace muster
