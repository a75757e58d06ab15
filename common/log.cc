#include "common/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace muster {
namespace {

thread_local const ScopedLogFields* innermost = nullptr;

LogFields& ProcessFields() {
  static auto* const fields = new LogFields();
  return *fields;
}

void FillIn(const LogFields& outer, LogFields& fields) {
  if (fields.job.empty()) fields.job = outer.job;
  if (!fields.attempt.has_value()) fields.attempt = outer.attempt;
  if (!fields.rank.has_value()) fields.rank = outer.rank;
  if (fields.worker.empty()) fields.worker = outer.worker;
  if (fields.request_id.empty()) fields.request_id = outer.request_id;
}

std::string_view View(spdlog::string_view_t text) { return {text.data(), text.size()}; }

// Whatever a message contains, the line is valid JSON in UTF-8.
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& line, spdlog::memory_buf_t& out) override {
    LogFields fields = CurrentLogFields();
    FillIn(ProcessFields(), fields);
    nlohmann::ordered_json json;
    json["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(line.time), absl::UTCTimeZone());
    json["level"] = View(spdlog::level::to_string_view(line.level));
    json["program"] = View(line.logger_name);
    json["message"] = View(line.payload);
    if (!fields.worker.empty()) json["worker"] = fields.worker;
    if (!fields.job.empty()) json["job"] = fields.job;
    if (fields.attempt.has_value()) json["attempt"] = *fields.attempt;
    if (fields.rank.has_value()) json["rank"] = *fields.rank;
    if (!fields.request_id.empty()) json["request_id"] = fields.request_id;
    const std::string text = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

class ScopeFlag final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg&, const std::tm&, spdlog::memory_buf_t& out) override {
    const LogFields fields = CurrentLogFields();
    std::string text;
    const auto add = [&](const char* name, const auto& value) {
      absl::StrAppend(&text, text.empty() ? " [" : " ", name, "=", value);
    };
    if (!fields.job.empty()) add("job", fields.job);
    if (fields.attempt.has_value()) add("attempt", *fields.attempt);
    if (fields.rank.has_value()) add("rank", *fields.rank);
    if (!fields.worker.empty()) add("worker", fields.worker);
    if (!fields.request_id.empty()) add("request_id", fields.request_id);
    if (!text.empty()) text.push_back(']');
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override { return std::make_unique<ScopeFlag>(); }
};

}  // namespace

LogFormat LogFormatFrom(std::string_view name) { return name == "json" ? LogFormat::kJson : LogFormat::kText; }

void SetLogFields(LogFields fields) { ProcessFields() = std::move(fields); }

ScopedLogFields::ScopedLogFields(LogFields fields) : fields_(std::move(fields)), outer_(innermost) { innermost = this; }
ScopedLogFields::~ScopedLogFields() { innermost = outer_; }

LogFields CurrentLogFields() {
  LogFields fields;
  for (const ScopedLogFields* scope = innermost; scope != nullptr; scope = scope->outer_) FillIn(scope->fields_, fields);
  return fields;
}

std::unique_ptr<spdlog::formatter> MakeLogFormatter(LogFormat format) {
  if (format == LogFormat::kJson) return std::make_unique<JsonFormatter>();
  auto text = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  text->add_flag<ScopeFlag>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %n %^%l%$ %v%*");
  return text;
}

void InitLog(std::string_view program, std::string_view level, LogFormat format) {
  auto logger = std::make_shared<spdlog::logger>(std::string(program), std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(MakeLogFormatter(format));
  logger->set_level(spdlog::level::from_str(std::string(level)));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace muster
