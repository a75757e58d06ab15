#include "client/list_table.h"

#include <cstdio>

#include "client/words.h"
#include "common/clock.h"

namespace muster {

void AddWideFlag(CLI::App& command, Cli& cli, bool& wide) {
  CLI::Option* flag = command.add_flag("--wide", wide, "Print exact times, and cut nothing to fit the terminal");
  if (cli.output_flag != nullptr) flag->excludes(cli.output_flag);  // JSON and YAML always have exact times and full texts
}

std::string TimeCell(const google::protobuf::Timestamp& time, bool wide) {
  return wide ? TimeText(time) : AgeText(time, RealClock().Now());
}

void PrintTable(const Table& table, bool wide) {
  std::printf("%s", table.Text(wide ? 0 : ColumnsOfTerminal(stdout)).c_str());
}

}  // namespace muster
