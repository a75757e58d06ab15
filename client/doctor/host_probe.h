// Examines this host as a worker's host, and returns findings.
#pragma once

#include <filesystem>
#include <string>

#include "client/doctor/finding.h"

namespace muster {

struct HostExamination {
  std::filesystem::path state;  // the worker's; empty: not checked
  std::filesystem::path rank_binary;  // empty: not checked
  std::string coordinator;            // HOST:PORT; empty: not known
  std::string interface;              // --interface of the worker; empty: not given
  std::string metrics = "127.0.0.1:7075", health = "127.0.0.1:7085";
  bool gpu = false;  // the worker should have GPUs
  uint32_t slots = 0;  // 0: not known
};
Findings ExamineHost(const HostExamination& host);

}  // namespace muster
