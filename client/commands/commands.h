// The commands of `muster`, one per file in this folder.
#pragma once

#include "client/cli.h"

namespace muster {

// The help of the argument JOB, which many commands have.
inline constexpr char kJobHelp[] = "Id of the job, the beginning of its id, or its name";

void AddInitCommand(CLI::App& app, Cli& cli);
void AddSubmitCommand(CLI::App& app, Cli& cli);
void AddJobsCommands(CLI::App& app, Cli& cli);  // jobs, get
void AddStatusCommand(CLI::App& app, Cli& cli);
void AddWatchCommand(CLI::App& app, Cli& cli);
void AddMetricsCommand(CLI::App& app, Cli& cli);
void AddLogsCommand(CLI::App& app, Cli& cli);
void AddControlCommands(CLI::App& app, Cli& cli);  // cancel, pause, resume
void AddDataCommands(CLI::App& app, Cli& cli);
void AddModelsCommands(CLI::App& app, Cli& cli);
void AddStudyCommands(CLI::App& app, Cli& cli);  // study run, study status, study report
void AddExplainCommand(CLI::App& app, Cli& cli);
void AddExportCommand(CLI::App& app, Cli& cli);
void AddTraceCommand(CLI::App& app, Cli& cli);
void AddEvalCommand(CLI::App& app, Cli& cli);
void AddMineCommand(CLI::App& app, Cli& cli);
void AddScoreCommand(CLI::App& app, Cli& cli);
void AddCompareCommand(CLI::App& app, Cli& cli);
void AddReportCommand(CLI::App& app, Cli& cli);
void AddClusterCommands(CLI::App& app, Cli& cli);  // workers, queues, drain
void AddCertsCommands(CLI::App& app, Cli& cli);
void AddBackupCommands(CLI::App& app, Cli& cli);  // backup, restore
void AddTokensCommands(CLI::App& app, Cli& cli);
void AddGcCommand(CLI::App& app, Cli& cli);
void AddOperationsCommands(CLI::App& app, Cli& cli);  // operations, operation get, operation cancel
void AddDoctorCommand(CLI::App& app, Cli& cli);
void AddShellCommands(CLI::App& app, Cli& cli);  // completion, manual
void AddVersionCommand(CLI::App& app, Cli& cli);

}  // namespace muster
