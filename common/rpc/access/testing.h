// For tests: any RPC by its name, and every RPC of the API.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace muster {

// "JobService/SubmitJob", …: the RPCs of all muster.v1 services that are linked into this program.
std::vector<std::string> EveryRpc();

// Makes the call with one message (an empty string is an empty message), and reads responses until it ends.
// `request_id`: sent along unless empty.
absl::Status CallByName(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                        const std::string& message = "", const std::string& request_id = "",
                        absl::Duration within = absl::Seconds(20));

// Health of the server, which needs no credentials: "/grpc.health.v1.Health/Check".
absl::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel);

}  // namespace muster
