// Stands in for the data server of a coordinator that has no data: resolves every submission to the same digests.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace muster::bench {

class StandInData {
 public:
  static absl::StatusOr<std::unique_ptr<StandInData>> Start();
  ~StandInData();
  std::string address() const;  // HOST:PORT

 private:
  class Service;
  StandInData();
  std::unique_ptr<Service> service_;
};

}  // namespace muster::bench
