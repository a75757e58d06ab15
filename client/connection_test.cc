#include "client/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "client/call.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<Endpoint> Resolve(const ConnectionFlags& flags, const std::map<std::string, std::string>& variables,
                                 const std::string& config) {
  return ResolveEndpoint(
      flags,
      [&](const char* name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
      },
      {"/home/ada/.config/muster/config.yaml", config});
}

TEST(ResolveEndpoint, FlagsOverEnvironmentOverConfig) {
  const std::string config = "address: config:1\ncerts: /config\n";
  const std::map<std::string, std::string> variables = {{"MUSTER_ADDRESS", "env:1"}, {"MUSTER_CERTS", "/env"}};
  EXPECT_EQ(Resolve({}, {}, config)->address, "config:1");
  EXPECT_EQ(Resolve({}, variables, config)->address, "env:1");
  EXPECT_EQ(Resolve({.address = "flag:1"}, variables, config)->address, "flag:1");
  EXPECT_EQ(Resolve({.address = "flag:1"}, variables, config)->security.certificates, "/env");
  EXPECT_EQ(Resolve({.certificates = "/flag"}, variables, config)->security.certificates, "/flag");
}

TEST(ResolveEndpoint, ARememberedClusterIsUsedWholeAndOnlyIfNothingElseNamesOne) {
  const RememberedCluster local = {"127.0.0.1:7070", "/state/certs/user", "/state/user.token", "/state"};
  const auto resolve = [&](const ConnectionFlags& flags, const std::map<std::string, std::string>& variables, const std::string& config) {
    return ResolveEndpoint(
        flags,
        [&](const char* name) -> std::optional<std::string> {
          const auto found = variables.find(name);
          return found == variables.end() ? std::nullopt : std::optional(found->second);
        },
        {"/home/ada/.config/muster/config.yaml", config}, local);
  };
  const auto endpoint = resolve({}, {{"MUSTER_CERTS", "/env"}, {"MUSTER_TOKEN", "mst_x"}}, "certs: /config\ninsecure: true\n");
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  EXPECT_EQ(endpoint->address, "127.0.0.1:7070");
  EXPECT_EQ(endpoint->security.certificates, "/state/certs/user") << "not those of another cluster";
  EXPECT_FALSE(endpoint->security.insecure);
  EXPECT_EQ(endpoint->security.token_file, "/state/user.token");
  EXPECT_EQ(endpoint->security.token, "");
  EXPECT_EQ(resolve({.certificates = "/flag"}, {}, "")->security.certificates, "/flag");
  EXPECT_EQ(resolve({.certificates = "/flag"}, {}, "")->security.token_file, "") << "the certificate names the caller";
  EXPECT_EQ(endpoint->remembered_state, "/state");
  for (const auto& other : {resolve({.address = "a:1"}, {}, "certs: /c\n"), resolve({}, {{"MUSTER_ADDRESS", "a:1"}}, "certs: /c\n"),
                            resolve({}, {}, "address: a:1\ncerts: /c\n")}) {
    ASSERT_TRUE(other.ok()) << other.status();
    EXPECT_EQ(other->address, "a:1");
    EXPECT_EQ(other->security.certificates, "/c");
    EXPECT_EQ(other->security.token_file, "");
    EXPECT_EQ(other->remembered_state, "");
  }
}

TEST(ResolveEndpoint, InsecureMustBeAskedFor) {
  EXPECT_THAT(std::string(Resolve({.address = "a:1"}, {}, "").status().message()), HasSubstr("--insecure"));
  EXPECT_TRUE(Resolve({.address = "a:1", .insecure = true}, {{"MUSTER_CERTS", "/env"}}, "")->security.insecure);
  EXPECT_TRUE(Resolve({}, {}, "address: a:1\ninsecure: true\n")->security.insecure);
  EXPECT_FALSE(Resolve({.certificates = "/c"}, {}, "address: a:1\ninsecure: true\n")->security.insecure);
}

TEST(ResolveEndpoint, ATokenIsFoundLikeTheRestAndNeverSentWithoutTls) {
  const std::string config = "address: a:1\ncerts: /c\ntoken_file: /config\n";
  EXPECT_EQ(Resolve({}, {}, config)->security.token_file, "/config");
  EXPECT_EQ(Resolve({}, {{"MUSTER_TOKEN", "mst_x"}}, config)->security.token, "mst_x");
  EXPECT_EQ(Resolve({}, {{"MUSTER_TOKEN", "mst_x"}}, config)->security.token_file, "");
  EXPECT_EQ(Resolve({}, {{"MUSTER_TOKEN_FILE", "/env"}, {"MUSTER_TOKEN", "mst_x"}}, config)->security.token_file, "/env");
  EXPECT_EQ(Resolve({.token_file = "/flag"}, {{"MUSTER_TOKEN_FILE", "/env"}}, config)->security.token_file, "/flag");
  const auto insecure = Resolve({.insecure = true}, {{"MUSTER_TOKEN", "mst_x"}}, config);
  EXPECT_EQ(insecure->security.token, "");
  EXPECT_EQ(insecure->security.token_file, "");
  EXPECT_EQ(Resolve({.token_file = "/flag", .insecure = true}, {}, config).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ResolveEndpoint, ErrorsNameWhatToDo) {
  EXPECT_THAT(std::string(Resolve({}, {}, "").status().message()), HasSubstr("MUSTER_ADDRESS"));
  EXPECT_THAT(std::string(Resolve({}, {}, "adress: x\n").status().message()), HasSubstr("config.yaml:1: unknown key"));
  EXPECT_THAT(std::string(Resolve({}, {}, "adress: x\n").status().message()), HasSubstr("Did you mean \"address\"?"));
  EXPECT_THAT(std::string(Resolve({}, {}, "").status().message()), HasSubstr("muster local"));
  EXPECT_EQ(Resolve({}, {}, "[").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(Resolve({}, {}, "address: a:1\ninsecure: maybe\n").status().message()),
              HasSubstr("config.yaml:2: insecure: \"maybe\" is not true or false."));
  EXPECT_THAT(std::string(Resolve({}, {}, "certs: [a]\n").status().message()), HasSubstr("certs: must be a single value."));
}

TEST(ResolveEndpoint, PathsOfTheConfigFileStartAtHomeOrAtTheFile) {
  const auto certs = [](const std::string& value) {
    return Resolve({}, {}, "address: a:1\ncerts: " + value + "\n")->security.certificates.string();
  };
  EXPECT_EQ(certs("~/certs"), std::string(std::getenv("HOME")) + "/certs");
  EXPECT_EQ(certs("certs"), "/home/ada/.config/muster/certs");
  EXPECT_EQ(certs("../certs"), "/home/ada/.config/certs");
  EXPECT_EQ(certs("/certs"), "/certs");
  const auto token = Resolve({}, {}, "address: a:1\ncerts: /c\ntoken_file: ~/token\n");
  EXPECT_EQ(token->security.token_file, std::string(std::getenv("HOME")) + "/token");
}

TEST(ReachableAddress, ReplacesAnUnspecifiedHost) {
  EXPECT_EQ(ReachableAddress("0.0.0.0:7071", "muster.example:7070"), "muster.example:7071");
  EXPECT_EQ(ReachableAddress("[::]:7071", "10.0.0.1:7070"), "10.0.0.1:7071");
  EXPECT_EQ(ReachableAddress("data:7071", "10.0.0.1:7070"), "data:7071");
}

TEST(NewRequestId, IsARandomUuid) {
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) ids.insert(NewRequestId());
  EXPECT_EQ(ids.size(), 100);
  EXPECT_THAT(*ids.begin(),
              ::testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
}

}  // namespace
}  // namespace muster
