// The roles that may call each RPC, in one table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include "common/rpc/principal.h"

namespace muster {

class RoleSet {
 public:
  constexpr RoleSet(std::initializer_list<Role> roles) {
    for (const Role role : roles) bits_ |= 1u << static_cast<unsigned>(role);
  }
  constexpr bool contains(Role role) const { return (bits_ >> static_cast<unsigned>(role) & 1u) != 0; }
  constexpr RoleSet operator|(RoleSet other) const {
    other.bits_ |= bits_;
    return other;
  }

 private:
  uint32_t bits_ = 0;
};

struct AccessRule {
  std::string_view method;  // "JobService/SubmitJob": of package muster.v1 or muster.internal.v1
  RoleSet roles;
  enum class Effect {
    kReads,    // changes nothing
    kChanges,  // always in the audit log, whoever the caller is
    kWorks,    // routine call of a process: in the audit log only if refused
  } effect;
  bool streams;              // runs for long, and counts against the streams of a user
  size_t max_request_bytes;  // of a message
};

std::span<const AccessRule> AccessRules();
const AccessRule* FindRule(std::string_view method);  // null: there is no such RPC, and nobody may call it

}  // namespace muster
