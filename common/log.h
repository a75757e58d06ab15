// Logging of the server programs: one line per event on standard error, through spdlog.
//
//   InitLog("muster-worker", "info", LogFormat::kJson);
//   SetLogFields({.worker = "w1"});                        // for every line of this process
//   const ScopedLogFields scope({.job = "a", .attempt = 1});  // for this thread's lines, until the scope ends
//   spdlog::info("started on slot {}", 0);
//
//   text  2026-03-01T12:00:00.000Z muster-worker info started on slot 0 [job=a attempt=1]
//   json  {"time":"2026-03-01T12:00:00.000Z","level":"info","program":"muster-worker","message":"started on slot 0",
//          "worker":"w1","job":"a","attempt":1}
//
// A text line shows only the fields of scopes, because readers know those of the process.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace spdlog {
class formatter;
}

namespace muster {

enum class LogFormat { kText, kJson };
// "json" is kJson, everything else kText: the flag's parser has checked the value.
LogFormat LogFormatFrom(std::string_view name);

// Identifies what a line is about. Empty fields are left out.
struct LogFields {
  std::string job;
  std::optional<uint32_t> attempt, rank;
  std::string worker;
  std::string request_id;
};

// Call once, in main. `program` is part of every line. Level: trace, debug, info, warning, error.
void InitLog(std::string_view program, std::string_view level = "info", LogFormat format = LogFormat::kText);

// Call once, in main, before other threads log. Sets fields of every line of this process.
void SetLogFields(LogFields fields);

// Adds fields to this thread's lines while it lives; an inner scope's fields override an outer one's. Lives on the
// stack.
class ScopedLogFields {
 public:
  explicit ScopedLogFields(LogFields fields);
  ~ScopedLogFields();
  ScopedLogFields(const ScopedLogFields&) = delete;
  ScopedLogFields& operator=(const ScopedLogFields&) = delete;

 private:
  friend LogFields CurrentLogFields();
  const LogFields fields_;
  const ScopedLogFields* const outer_;
};

// The fields that the caller's scopes set for this thread.
LogFields CurrentLogFields();

// For InitLog and its test.
std::unique_ptr<spdlog::formatter> MakeLogFormatter(LogFormat format);

}  // namespace muster
